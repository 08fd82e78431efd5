"""One end of a TLS connection, whose steps are arguments. It prints what it sees, and `done` at the end.

    peer.py serve CERTIFICATE KEY [SETTING...] STEP...      accepts one connection, on the port that it prints first
    peer.py connect PORT AUTHORITY [SETTING...] STEP...

Settings: `version=TLSv1_2`, and `alpn=h2,http/1.1`, the protocols that it speaks. Steps:

    alpn            prints the protocol that both sides agreed on
    send=TEXT       `\\n` stands for the end of a line
    expect=TEXT     reads this, and nothing else
    hold, flush     between them nothing is sent: then all of it in one piece
    close_notify    says that nothing more comes
    fin, reset      of the socket, without a word of TLS
    end             reads to the end, and prints how that came: `close_notify, fin`, `fin` or `reset`
"""

import socket
import ssl
import struct
import sys

PATIENCE = 30


class Peer:
    def __init__(self, plain, context, **side):
        plain.settimeout(PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.plain, self.held = plain, False
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, **side)

    def flush(self):
        if self.outgoing.pending:
            self.plain.sendall(self.outgoing.read())

    def ask(self, what, *arguments):
        """Calls `what` until it needs no more of what the other end sends."""
        while True:
            try:
                done = what(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                received = self.plain.recv(65536)
                if received:
                    self.incoming.write(received)
                else:
                    self.incoming.write_eof()
            else:
                if not self.held:
                    self.flush()
                return done

    def expect(self, text):
        got = b""
        while len(got) < len(text):
            got += self.ask(self.tls.read, len(text) - len(got)) or sys.exit(f"the end, after {got}")
        assert got == text, got

    def close_notify(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass  # it is said; the other end has not said it yet
        if not self.held:
            self.flush()

    def end(self):
        try:
            try:
                more = self.ask(self.tls.read, 65536)
            except ssl.SSLZeroReturnError:
                more = b""  # both sides have said it
            more = more or self.plain.recv(1)
            assert not more, more
            return "close_notify, fin"
        except ssl.SSLEOFError:
            return "fin"
        except ConnectionResetError:
            return "reset"

    def take(self, step):
        name, _, value = step.partition("=")
        value = value.replace("\\n", "\r\n").encode()
        if name == "alpn":
            print("alpn", self.tls.selected_alpn_protocol())
        elif name == "send":
            self.ask(self.tls.write, value)
        elif name == "expect":
            self.expect(value)
        elif name == "hold":
            self.held = True
        elif name == "flush":
            self.held = False
            self.flush()
        elif name == "close_notify":
            self.close_notify()
        elif name == "fin":
            self.plain.shutdown(socket.SHUT_WR)
        elif name == "reset":
            self.plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.plain.close()
        elif name == "end":
            print(self.end())
        else:
            sys.exit(f"no such step: {step}")


def main(side, first, second, *steps):
    if side == "serve":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(first, second)
    else:
        context = ssl.create_default_context(cafile=second)
    steps = list(steps)
    while steps and steps[0].startswith(("version=", "alpn=")):
        name, _, value = steps.pop(0).partition("=")
        if name == "version":
            context.minimum_version = context.maximum_version = ssl.TLSVersion[value]
        else:
            context.set_alpn_protocols(value.split(","))
    if side == "serve":
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(PATIENCE)
        print("listening", listener.getsockname()[1], flush=True)
        peer = Peer(listener.accept()[0], context, server_side=True)
    else:
        plain = socket.create_connection(("127.0.0.1", int(first)), PATIENCE)
        peer = Peer(plain, context, server_hostname="localhost")
    # What the handshake says last waits as well.
    peer.held = steps[0] == "hold"
    try:
        peer.ask(peer.tls.do_handshake)
    except OSError as error:
        print("no handshake:", "reset" if isinstance(error, ConnectionResetError) else error)
        steps.clear()
    for step in steps:
        peer.take(step)
    print("done", flush=True)


main(*sys.argv[1:])
