"""Dates and spans, as they are typed and as they are shown."""
import unittest

from support import OK, StoreCase, id_of


class Dates(StoreCase):
    def test_every_form_of_a_date(self):
        self.succeed("policy", "set", "--longest", "unlimited", "--default", "36500d", "--quiet")
        forms = {"2090-03-01": "2090-03-01T00:00:00.000Z", "2090-03-01T12:30": "2090-03-01T12:30:00.000Z",
                 "2090-03-01 12:30:15": "2090-03-01T12:30:15.000Z", "2090-03-01T12:30:15.5Z": "2090-03-01T12:30:15.500Z",
                 "2090-03-01T12:30:15.123456z": "2090-03-01T12:30:15.123Z",
                 "2090-03-01T00:30+01:00": "2090-02-28T23:30:00.000Z",
                 "2090-03-01T23:30:00-05:30": "2090-03-02T05:00:00.000Z", "2092-02-29": "2092-02-29T00:00:00.000Z"}
        for typed, meant in forms.items():
            token = self.issue("alice", "--not-before", typed)
            shown = self.succeed("show", id_of(token), "--json").json
            self.assertEqual((shown["not_before"], shown["state"]), (meant, "pending"), typed)
        self.assertIn("pending", self.succeed("list", "--state", "pending").out)

    def test_an_end_at_a_date_and_after_a_time(self):
        token = self.issue("alice", "--scope", "read", "--lifetime", "300d")
        self.succeed("expire", id_of(token), "--in", "200d")
        later = self.succeed("show", id_of(token), "--json").json["expires_at"]
        shown = self.succeed("expire", id_of(token), "--at", later[:10], "--json").json
        self.assertEqual(shown["expires_at"], later[:10] + "T00:00:00.000Z")
        self.assertEqual(self.validate(token).code, OK)
        past = self.succeed("expire", id_of(token), "--at", "2020-01-01", "--json").json
        self.assertEqual(past["state"], "expired")
        self.assertGreaterEqual(past["expires_at"], past["created_at"])

    def test_spans_are_shown_in_words(self):
        for typed, shown in (("36h", "1 day 12 hours"), ("90s", "1 minute 30 seconds"), ("2w", "14 days"), ("1", "1 day")):
            self.assertIn(f"longest lifetime       {shown}\n", self.succeed("policy", "set", "--longest", typed).out)


if __name__ == "__main__":
    unittest.main()
