"""What tests of several backends need."""

import socket

import pytest


@pytest.fixture
def no_network(monkeypatch):
    """A connection that is opened fails the test."""

    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
