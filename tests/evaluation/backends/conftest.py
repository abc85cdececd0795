"""What tests of several backends need."""

import socket
import threading

import pytest


@pytest.fixture
def no_network(monkeypatch):
    """A connection that the test opens fails it; threads that other tests left behind are none of its business."""
    connect, test = socket.socket.connect, threading.current_thread()

    def refuse(*args, **kwargs):
        if threading.current_thread() in before - {test}:
            return connect(*args, **kwargs)
        raise AssertionError("a connection was opened")

    before = set(threading.enumerate())
    monkeypatch.setattr(socket.socket, "connect", refuse)
