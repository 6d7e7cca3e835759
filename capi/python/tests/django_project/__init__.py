"""A project for the tests of tokenstore.django."""
