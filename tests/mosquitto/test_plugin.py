"""Debian's mosquitto with examples/mosquitto_plugin, and its real clients.

    MOSQUITTO_PLUGIN=tokenstore_mosquitto.so TOKENSTORE=command python3 test_plugin.py
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import broker
from broker import Broker, Tokens

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from hidden_tables import hidden_tables


class Plugin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        broker.require()
        cls.folder = tempfile.TemporaryDirectory()
        cls.tokens = Tokens(pathlib.Path(cls.folder.name))
        cls.broker = Broker(cls.tokens.database).start()
        cls.everything = cls.tokens.issue("mqtt:publish:#", "mqtt:subscribe:#", owner="watcher")

    @classmethod
    def tearDownClass(cls):
        log = cls.broker.stop()
        cls.folder.cleanup()
        assert cls.tokens.pieces_in("x" + cls.everything + "x"), "the search for secrets finds nothing at all"
        pieces = cls.tokens.pieces_in(log)
        assert not pieces, f"{len(pieces)} pieces of tokens are in the broker's log"

    def assert_refused(self, done):
        self.assertNotEqual(0, done.returncode)
        self.assertRegex(done.stdout + done.stderr, "not authorised|Not authorized")

    def test_right_token_publishes_and_subscribes(self):
        token = self.tokens.issue("mqtt:publish:sensors/#", "mqtt:subscribe:sensors/+/heat")
        watching = self.broker.subscribe("right-sub", token, "sensors/+/heat", username="alice")
        for version, username in (("31", "alice"), ("311", ""), ("311", "alice"), ("5", "alice"), ("5", None)):
            payload = f"{version}-{username}"
            done = self.broker.publish("right-pub", token, "sensors/1/heat", payload, version=version,
                                       username=username)
            self.assertEqual((0, ""), (done.returncode, done.stderr), payload)
            watching.wait_for(f"sensors/1/heat {payload}")
        watching.stop()

    def test_garbage_no_password_and_a_wrong_username_are_refused(self):
        token = self.tokens.issue("mqtt:publish:#")
        without = self.tokens.issue("mqtt:publish:#", connect=False)
        nothing = self.tokens.issue(connect=False)
        last = "0" if token[-1] != "0" else "1"
        for what, password, username in (("garbage", "garbage", ""), ("flipped", token[:-1] + last, ""),
                                         ("long", token * 300, ""), ("empty", "", ""), ("absent", None, "alice"),
                                         ("anonymous", None, None), ("other username", token, "bob"),
                                         ("token as username", "garbage", token), ("token twice", token, token),
                                         ("scope mqtt is missing", without, ""), ("no scope", nothing, "")):
            with self.subTest(what):
                done = self.broker.publish("refused", password, "a", "x", username=username)
                self.assert_refused(done)
        self.assert_refused(self.broker.publish("refused", "garbage", "a", "x", username=None, version="5"))
        self.broker.wait_for_log("refused a client from")
        self.assertIn(": malformed\n", self.broker.log())

    def test_topic_of_another_scope_is_not_published(self):
        token = self.tokens.issue("mqtt:publish:room/+/in", "mqtt:subscribe:#")
        watching = self.broker.subscribe("room-watcher", self.everything, "room/#", "hall/#")
        for topic in ("room/1/out", "room/1/in/x", "room/in", "hall/1/in", "Room/1/in"):
            done = self.broker.publish("room-pub", token, topic, "no", version="5")
            self.assertIn("Not authorized", done.stderr, topic)
        self.assertEqual(0, self.broker.publish("room-pub", token, "room/1/in", "yes").returncode)
        watching.wait_for("room/1/in yes")
        self.assertEqual("room/1/in yes\n", watching.stop())

    def test_subscription_wider_than_granted_is_refused(self):
        token = self.tokens.issue("mqtt:publish:#", "mqtt:subscribe:sensors/+/heat")
        for wanted in ("#", "+/+/heat", "sensors/#", "sensors/+/+", "sensors/1", "$SYS/#", "$share/g/sensors/#",
                       "$share/g/#"):
            with self.subTest(wanted):
                subscriber = self.broker.subscribe(f"wide-{wanted}", token, wanted)
                subscriber.wait_for_end()
                self.assertIn("All subscription requests were denied", subscriber.output())
        watching = self.broker.subscribe("narrow", token, "$share/g/sensors/+/heat", "sensors/#", version="5")
        self.broker.publish("narrow-pub", token, "sensors/1/cold", "no")
        self.broker.publish("narrow-pub", token, "sensors/1/heat", "yes")
        watching.wait_for("sensors/1/heat yes")
        self.assertNotIn("no", watching.stop().split())

    def test_wildcards_do_not_reach_topics_of_the_broker(self):
        subscriber = self.broker.subscribe("sys", self.everything, "$SYS/broker/uptime")
        subscriber.wait_for_end()
        self.assertIn("denied", subscriber.output())
        allowed = self.tokens.issue("mqtt:subscribe:$SYS/broker/version")
        watching = self.broker.subscribe("sys-allowed", allowed, "$SYS/broker/version")
        broker.wait_until(lambda: "mosquitto version" in watching.output(), watching.output)
        watching.stop()

    def test_retained_message_arrives_after_its_sender_has_gone(self):
        self.broker.publish("retained", self.everything, "retained/here", "kept", "-r")
        watching = self.broker.subscribe("retained-watcher", self.everything, "retained/#")
        watching.wait_for("retained/here kept")
        watching.stop()

    def test_every_way_in_which_a_token_ends_disconnects_a_silent_client(self):
        endings = {
            "revoked": lambda token_id, owner: self.tokens.command("revoke", token_id),
            "expired": lambda token_id, owner: self.tokens.command("expire", token_id, "--in", "1s"),
            "unknown": lambda token_id, owner: self.tokens.command("delete", token_id, "--yes"),
            "owner_suspended": lambda token_id, owner: self.tokens.command("owner", "suspend", owner),
        }
        silent = {}
        for reason, end in endings.items():
            token = self.tokens.issue("mqtt:subscribe:#", owner=f"owner-{reason}")
            silent[reason] = (self.broker.subscribe(f"silent-{reason}", token, "#"), token)
        staying = self.broker.subscribe("staying", self.everything, "staying/#")
        for reason, end in endings.items():
            end(self.tokens.id_of(silent[reason][1]), f"owner-{reason}")
        for reason, (subscriber, token) in silent.items():
            self.assertNotEqual(0, subscriber.wait_for_end(), reason)
            self.assertIn("not authorised", subscriber.output(), "and it cannot come back")
            self.broker.wait_for_log(
                f"disconnecting the client with token {self.tokens.id_of(token)}: {reason}\n")
        self.broker.publish("stayer", self.everything, "staying/on", "yes")
        staying.wait_for("staying/on yes")
        staying.stop()

    def test_last_will_is_sent_for_a_good_token_and_not_for_one_that_ended(self):
        watching = self.broker.subscribe("will-watcher", self.everything, "will/#")
        for client, topic in (("will-good", "will/mine"), ("will-scope", "will/other"), ("will-ended", "will/mine")):
            token = self.tokens.issue("mqtt:publish:will/mine", "mqtt:subscribe:x")
            dying = self.broker.subscribe(client, token, "x", more=("--will-topic", topic, "--will-payload", client))
            if client == "will-ended":
                self.tokens.command("revoke", self.tokens.id_of(token))
                dying.wait_for_end()
            else:
                dying.stop(signal.SIGKILL)
        watching.wait_for("will/mine will-good")
        self.broker.publish("will-end", self.everything, "will/end", "yes")
        watching.wait_for("will/end yes")
        self.assertEqual("will/mine will-good\nwill/end yes\n", watching.stop())

    def test_messages_kept_for_a_client_reach_only_a_token_that_may_have_them(self):
        token = self.tokens.issue("mqtt:subscribe:kept/#")
        narrow = self.tokens.issue("mqtt:subscribe:kept/narrow")
        for client, back, expected in (("keeper", token, ["kept/wide one", "kept/narrow two"]),
                                       ("narrow-keeper", narrow, ["kept/narrow two"])):
            first = self.broker.subscribe(client, token, "kept/#", more=("-c",))
            first.stop()
            self.broker.wait_for_log(f"Client {client} disconnected.\n")
            self.broker.publish("kept-pub", self.everything, "kept/wide", "one")
            self.broker.publish("kept-pub", self.everything, "kept/narrow", "two")
            second = self.broker.subscribe(client, back, "kept/narrow", more=("-c",))
            second.wait_for("kept/narrow two")
            self.assertEqual(expected, second.stop().splitlines())
            self.broker.publish(client, self.everything, "x", "a clean session ends the kept one")

    def test_last_use_is_written_when_the_broker_ends(self):
        token = self.tokens.issue("mqtt:publish:#")
        other = Broker(self.tokens.database).start()
        other.publish("used", token, "a", "x")
        other.stop()
        used = {}
        for name in (token, self.tokens.issue("mqtt:publish:#")):
            used[name] = json.loads(self.tokens.command("--json", "show", self.tokens.id_of(name)))["last_used_at"]
        self.assertEqual([True, False], [when is not None for when in used.values()])

    def test_failing_storage_refuses_without_calling_the_token_bad_and_open_connections_stay(self):
        watching = self.broker.subscribe("patient", self.everything, "storage/#")
        with hidden_tables(self.tokens.database):
            self.broker.wait_for_log("the tokens' storage cannot be read")
            done = self.broker.publish("unlucky", self.everything, "storage/no", "x")
        self.assertNotEqual(0, done.returncode)
        self.assertNotIn("not authorised", done.stdout + done.stderr)
        self.broker.wait_for_log("the tokens' storage can be read again")
        self.broker.publish("lucky", self.everything, "storage/yes", "x")
        watching.wait_for("storage/yes x")
        self.assertEqual("storage/yes x\n", watching.stop())
        self.assertEqual(1, self.broker.log().count(" as patient ("), "it never had to connect again")


class LogRotation(unittest.TestCase):
    """At SIGHUP the broker judges every open connection anew."""

    def setUp(self):
        broker.require()
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.tokens = Tokens(pathlib.Path(self.folder.name))

    def clients(self, running):
        """One of each way to show a token: a username is the owner's, empty or, in MQTT 5, left out."""
        found = {}
        for version, username in (("31", "alice"), ("311", "alice"), ("311", ""), ("5", "alice"), ("5", ""), ("5", None)):
            token = self.tokens.issue("mqtt:subscribe:#")
            client = f"client-{version}-{username}"
            found[client] = running.subscribe(client, token, "#", version=version, username=username)
        return found

    def test_a_rotation_of_the_log_cuts_nobody_good(self):
        for anonymous in (True, False):
            with self.subTest(allow_anonymous=anonymous):
                running = Broker(self.tokens.database, anonymous=anonymous).start()
                everything = self.tokens.issue("mqtt:publish:#")
                clients = self.clients(running)
                for number in range(3):
                    running.rotate_log()
                    done = running.publish("publisher", everything, f"after/{number}", "yes")
                    self.assertEqual((0, ""), (done.returncode, done.stderr))
                    for client, subscriber in clients.items():
                        self.assertIsNone(subscriber.process.poll(), client)
                        subscriber.wait_for(f"after/{number} yes")
                logs = "".join(path.read_text(encoding="utf-8") for path in running.folder.glob("log*"))
                self.assertEqual([], [client for client in clients if logs.count(f" as {client} (") != 1], "they never had to connect again")
                for subscriber in clients.values():
                    subscriber.stop()
                running.stop()

    def test_a_rotation_while_storage_cannot_be_read_cuts_nobody(self):
        running = Broker(self.tokens.database, check_interval_ms=3600000).start()
        everything = self.tokens.issue("mqtt:publish:#")
        clients = self.clients(running)
        with hidden_tables(self.tokens.database):
            running.rotate_log()
            time.sleep(1)
        running.publish("publisher", everything, "after/it", "yes")
        logs = "".join(path.read_text(encoding="utf-8") for path in running.folder.glob("log*"))
        for client, subscriber in clients.items():
            subscriber.wait_for("after/it yes")
            self.assertEqual(1, logs.count(f" as {client} ("), client)
            subscriber.stop()
        running.stop()

    def test_a_rotation_lets_nobody_stay_whose_token_has_ended(self):
        running = Broker(self.tokens.database, check_interval_ms=3600000).start()
        token = self.tokens.issue("mqtt:subscribe:#")
        ended = running.subscribe("ended", token, "#")
        self.tokens.command("revoke", self.tokens.id_of(token))
        running.rotate_log()
        self.assertNotEqual(0, ended.wait_for_end())
        running.stop()


class WithoutChecks(unittest.TestCase):
    """Between two checks of open connections, what counts is asked with each message."""

    def setUp(self):
        broker.require()
        self.folder = tempfile.TemporaryDirectory()
        self.tokens = Tokens(pathlib.Path(self.folder.name))
        self.broker = Broker(self.tokens.database, check_interval_ms=3600000, daemon=True).start()
        self.everything = self.tokens.issue("mqtt:publish:#", "mqtt:subscribe:#", owner="watcher")

    def tearDown(self):
        self.assertEqual([], self.tokens.pieces_in(self.broker.stop()))
        self.folder.cleanup()

    def test_next_message_of_a_revoked_token_ends_its_connection_also_in_a_daemon(self):
        watching = self.broker.subscribe("watcher", self.everything, "a/#")
        token = self.tokens.issue("mqtt:publish:a/#", "mqtt:subscribe:a/#")
        receiving = self.broker.subscribe("receiver", token, "a/#")
        arguments = [*self.broker.arguments("mosquitto_pub", "sender", token), "-q", "1", "-t", "a/b", "-l"]
        sender = subprocess.Popen(arguments, stdin=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        print("before", file=sender.stdin, flush=True)
        watching.wait_for("a/b before")
        receiving.wait_for("a/b before")
        self.tokens.command("revoke", self.tokens.id_of(token))
        print("after", file=sender.stdin, flush=True)
        self.broker.wait_for_log("Client sender disconnected, not authorised.\n")
        self.broker.publish("last", self.everything, "a/b", "last")
        watching.wait_for("a/b last")
        self.assertEqual("a/b before\na/b last\n", watching.stop())
        self.assertEqual("a/b before\n", receiving.stop())
        self.assertEqual(1, self.broker.log().count("Sending PUBLISH to receiver "))
        sender.terminate()
        sender.stdin.close()
        sender.wait(timeout=broker.PATIENCE)


class Start(unittest.TestCase):
    def setUp(self):
        broker.require()
        self.folder = tempfile.TemporaryDirectory()
        self.work = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def test_database_that_is_not_there_ends_the_broker_with_a_clear_line_and_makes_no_file(self):
        log = Broker(self.work / "nowhere.db").fails_to_start()
        self.assertRegex(log, r"tokenstore: cannot open \S+/nowhere\.db: .+ does not exist; create the store first")
        self.assertEqual([], list(self.work.iterdir()))

    def test_wrong_settings_end_the_broker_with_a_clear_line(self):
        database = Tokens(self.work).database
        (self.work / "tokens.db.key").rename(self.work / "moved.key")
        for what, line in ((dict(database=None), "plugin_opt_database is missing"),
                           (dict(database="tokens.db"), "plugin_opt_database has to be an absolute path"),
                           (dict(database=database), r"cannot open \S+tokens\.db: .+ \(wrong_key\)"),
                           (dict(key_file="moved.key"), "plugin_opt_key_file has to be an absolute path"),
                           (dict(workspace="elsewhere"), r"cannot open \S+: .+ \(not_found\)"),
                           (dict(prefix="Bad!"), r"cannot open \S+: .+ \(invalid_argument\)"),
                           (dict(colour="red"), "there is no plugin_opt_colour"),
                           (dict(check_interval_ms=9), "plugin_opt_check_interval_ms is a number"),
                           (dict(check_interval_ms="1s"), "plugin_opt_check_interval_ms is a number")):
            with self.subTest(what):
                options = {"database": database, "key_file": self.work / "moved.key", **what}
                if what == dict(database=database):
                    del options["key_file"]
                self.assertRegex(Broker(**options).fails_to_start(), "tokenstore: " + line)
        Broker(database, key_file=self.work / "moved.key").start().stop()

    def test_configuration_of_the_example_works_with_its_paths_changed(self):
        tokens = Tokens(self.work)
        example = Broker(tokens.database)
        text = (pathlib.Path(__file__).parents[2] / "examples/mosquitto_plugin/mosquitto.conf").read_text("utf-8")
        for there, here in (("user tokens", "user root" if os.geteuid() == 0 else ""),
                            ("listener 1883 127.0.0.1", f"listener 0 {example.socket}"),
                            ("/usr/local/lib/tokenstore_mosquitto.so", broker.PLUGIN),
                            ("/var/lib/tokens/tokens.db", str(tokens.database))):
            self.assertIn(there, text)
            text = text.replace(there, here)
        example.configuration.write_text(f"{text}log_type all\nlog_dest file {example.log_file}\n", encoding="utf-8")
        example.start()
        done = example.publish("client", tokens.issue("mqtt:publish:a"), "a", "x", "-r", username="alice")
        refused = example.publish("client", None, "a", "x", username=None)
        example.stop()
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertNotEqual(0, refused.returncode)


if __name__ == "__main__":
    unittest.main(verbosity=2)
