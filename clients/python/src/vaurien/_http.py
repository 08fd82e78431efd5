"""One request of the HTTP API and its response, as bytes, and the two ways to exchange them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from .errors import ApiError, VaurienError

# How long the API may take for a response, in seconds. It answers in milliseconds.
TIMEOUT = 10

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """A request: `body` is sent as JSON."""

    method: str
    path: str
    body: object = None


# What takes several requests: a generator that is sent the response to each request that it yields.
Steps = Generator[Request, Any, T]


@dataclass(frozen=True)
class Endpoint:
    """Where an HTTP API listens."""

    host: str
    port: int
    token: str | None = None

    @classmethod
    def parse(cls, url: str, token: str | None = None) -> Endpoint:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        try:
            port = parts.port or 80
        except ValueError as error:
            raise VaurienError(f"`{url}`: {error}") from None
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
            raise VaurienError(f"`{url}` is not the address of an HTTP API: write http://HOST:PORT")
        return cls(parts.hostname, port, token)

    @classmethod
    def of(cls, url: str | None, token: str | None) -> Endpoint:
        """Where this URL is; without one, where the vaurien around this process listens, with its token."""
        if url is not None:
            return cls.parse(url, token)
        url = os.environ.get("VAURIEN_HTTP", "")
        if url in ("", "true", "false"):
            what = f"is `{url}`" if url else "is not set"
            raise VaurienError(f"connect: VAURIEN_HTTP {what}: give the URL, or run this within `vaurien --http … -- COMMAND`")
        return cls.parse(url, os.environ.get("VAURIEN_HTTP_TOKEN") if token is None else token)

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def encode(self, request: Request) -> bytes:
        """The request in HTTP/1.0: the response ends with the connection and is in one piece."""
        body = b"" if request.body is None else json.dumps(request.body).encode()
        lines = [f"{request.method} {request.path} HTTP/1.0", f"Host: {self.authority}", f"Content-Length: {len(body)}"]
        if body:
            lines.append("Content-Type: application/json")
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    def exchange(self, request: Request) -> Any:
        try:
            with socket.create_connection((self.host, self.port), TIMEOUT) as connection:
                connection.sendall(self.encode(request))
                response = bytearray()
                while piece := connection.recv(65536):
                    response += piece
        except OSError as error:
            raise self._unreachable(error) from error
        return decode(request, bytes(response))

    def run(self, steps: Steps[T]) -> T:
        """Makes the requests that these steps consist of."""
        try:
            request = next(steps)
            while True:
                try:
                    response = self.exchange(request)
                except VaurienError as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    async def run_async(self, steps: Steps[T]) -> T:
        """Makes the requests that these steps consist of."""
        try:
            request = next(steps)
            while True:
                try:
                    response = await self.exchange_async(request)
                except VaurienError as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    async def exchange_async(self, request: Request) -> Any:
        async def converse() -> bytes:
            reader, writer = await asyncio.open_connection(self.host, self.port)
            try:
                writer.write(self.encode(request))
                return await reader.read()
            finally:
                writer.close()

        try:
            response = await asyncio.wait_for(converse(), TIMEOUT)
        except (OSError, asyncio.TimeoutError) as error:
            raise self._unreachable(error) from error
        return decode(request, response)

    def _unreachable(self, error: BaseException) -> VaurienError:
        return VaurienError(f"the HTTP API at {self.authority} does not answer: {str(error) or type(error).__name__}")


def decode(request: Request, response: bytes) -> Any:
    """The body of a response: JSON, or the text of anything else.

    Raises `ApiError` if it is an error.
    """
    asked = f"{request.method} {request.path}"
    head, found, body = response.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    words = first.split(" ")
    if not found or not words[0].startswith("HTTP/1.") or len(body) < int(headers.get("content-length", 0)):
        raise VaurienError(f"{asked}: the response is incomplete or not HTTP")
    status = int(words[1])
    is_json = headers.get("content-type", "").startswith("application/json")
    content = json.loads(body) if is_json else body.decode()
    if status < 400:
        return content
    if isinstance(content, dict) and "errors" in content:
        raise ApiError("; ".join(error["description"] for error in content["errors"]), status)
    raise ApiError(f"{asked}: {' '.join(words[1:])}", status)
