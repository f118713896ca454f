"""The protocol of docs/protocol.md, written a second time, so that the programs are not tested against themselves."""

import socket
import struct
import threading

PUT, GET, DELETE, OK, ERROR = 1, 2, 3, 4, 5
NOT_FOUND, OVERLOADED, INVALID_ARGUMENT = 5, 256, 3


def frame(message_id, payload):
    return struct.pack("<II", len(payload), message_id) + payload


def put(key, value):
    return frame(PUT, struct.pack("<II", len(key), len(value)) + key + value)


def get(key):
    return frame(GET, struct.pack("<I", len(key)) + key)


def delete(key):
    return frame(DELETE, struct.pack("<I", len(key)) + key)


def put_after(key, before, value):
    """A BATCH that sets the value if the one before is there; None: if there is none."""
    condition = struct.pack("<BII", 2 if before is None else 0, len(key), len(before or b"")) + key + (before or b"")
    operation = struct.pack("<BII", 1, len(key), len(value)) + key + value
    return frame(18, struct.pack("<BII", 0, 1, 1) + condition + operation)


def error(code, message=b""):
    return frame(ERROR, b"\x01" + struct.pack("<HI", code, len(message)) + message)


def ok(value=None):
    return frame(OK, b"\x00" if value is None else b"\x00" + struct.pack("<I", len(value)) + value)


class Connection:
    """A connection to a server, or of a client; cuts what arrives into frames."""

    def __init__(self, stream):
        self.stream = stream
        self.buffer = b""

    def read_frame(self):
        """(message id, payload), or None when the peer has closed."""
        while True:
            if len(self.buffer) >= 8:
                length, message_id = struct.unpack_from("<II", self.buffer)
                if len(self.buffer) >= 8 + length:
                    payload = self.buffer[8:8 + length]
                    self.buffer = self.buffer[8 + length:]
                    return message_id, payload
            piece = self.stream.recv(1 << 16)
            if not piece:
                return None
            self.buffer += piece

    def send(self, data):
        self.stream.sendall(data)

    def close(self):
        self.stream.close()


def connect(address):
    host, port = address.rsplit(":", 1)
    return Connection(socket.create_connection((host, int(port)), timeout=60))


def get_many(address, keys, window=500):
    """The values of `keys`, in order, None for those that do not exist. Keeps `window` requests under way."""
    connection = connect(address)
    try:
        for begin in range(0, len(keys), window):
            part = keys[begin:begin + window]
            connection.send(b"".join(get(key) for key in part))
            for _ in part:
                yield value_of(*connection.read_frame())
    finally:
        connection.close()


def value_of(message_id, payload):
    """The value in a reply to GET, or None if there is no such key."""
    if message_id == OK:
        (length,) = struct.unpack_from("<I", payload, 1)
        assert len(payload) == 5 + length, "the reply to a GET does not add up"
        return payload[5:]
    (code,) = struct.unpack_from("<H", payload, 1)
    assert code == NOT_FOUND, f"GET failed with code {code}: {payload[7:]!r}"
    return None


class ScriptedServer:
    """A server in a thread that answers as a test says, for what a real server does only in trouble.

    `answer(number, message_id, payload)` gets every request, counted from 0 over all connections, and returns the bytes of
    the reply, or None to close the connection.
    """

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self.connections = 0
        self.closed = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                stream, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                self.talk(Connection(stream))
            except OSError:
                pass
            stream.close()
            self.closed += 1

    def talk(self, connection):
        while True:
            request = connection.read_frame()
            if request is None:
                return
            number = len(self.requests)
            self.requests.append(request)
            reply = self.answer(number, *request)
            if reply is None:
                return
            connection.send(reply)

    def close(self):
        self.listener.close()


class Table:
    """What a well-behaved server answers."""

    def __init__(self):
        self.values = {}

    def __call__(self, _number, message_id, payload):
        if message_id == PUT:
            key_length, _ = struct.unpack_from("<II", payload)
            self.values[payload[8:8 + key_length]] = payload[8 + key_length:]
            return ok()
        key = payload[4:]
        if message_id == DELETE:
            self.values.pop(key, None)
            return ok()
        return ok(self.values[key]) if key in self.values else error(NOT_FOUND, b"no such key")
