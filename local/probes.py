"""Asks whether something answers."""

import http.client
import socket

import psycopg
import redis

from local import LocalError

SECONDS = 5


def listens(port: int) -> bool:
    """Say whether something on this machine takes connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
    except OSError:
        return False
    return True


def answers_http(port: int, path: str = "/") -> bool:
    """Say whether something on this machine answers HTTP on the port, whatever the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def require_database(variable: str, url: str) -> None:
    """Raise LocalError with a sentence if the database cannot be reached."""
    try:
        psycopg.connect(url, connect_timeout=SECONDS).close()
    except psycopg.Error as error:
        reason = str(error).strip().split("\n")[0]
        raise LocalError(f"{variable}: the database cannot be reached ({reason}).") from None


def require_queue(variable: str, url: str) -> None:
    """Raise LocalError with a sentence if the Redis or Valkey server cannot be reached."""
    try:
        client = redis.Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)
        client.ping()
        client.close()
    except (redis.RedisError, ValueError) as error:
        raise LocalError(f"{variable}: the queue's server cannot be reached ({error}).") from None
