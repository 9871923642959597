"""Serves gRPC, for `tcvectordb.RPCVectorDBClient`.

The messages are the SDK's. The SDK's registration function names methods `/olama.SearchEngine/…`,
but its client calls paths such as `/document/upsert`, so methods are registered here one by one.
`tcvectordb` is imported only when a server starts.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from imgsearch.errors import ConfigError, MissingExtra
from imgsearch.testing.tencent.codes import Broken
from imgsearch.testing.tencent.messages import BODIES, Messages, body_of
from imgsearch.testing.tencent.service import Service

# maps a proxy's HTTP status to the gRPC status that a client reports
# Source: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
STATUS: Final[Mapping[int, str]] = {
    0: "UNAVAILABLE",  # a dropped connection
    400: "INTERNAL",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "UNIMPLEMENTED",
    429: "UNAVAILABLE",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "UNAVAILABLE",
}
WORKERS: Final = 16  # concurrent calls


class RpcServer:
    """A gRPC server."""

    def __init__(self, service: Service, host: str, port: int, max_body: int) -> None:
        """Start serving.

        Raises:
            MissingExtra: tcvectordb or grpcio is not installed.
            ConfigError: the port cannot be used.
        """
        try:
            import grpc
            from tcvectordb.rpc.proto import olama_pb2
        except ImportError as error:
            raise MissingExtra("gRPC needs tcvectordb", extra="tencent", name=error.name) from error
        messages = Messages(olama_pb2)
        services: dict[str, dict[str, Any]] = defaultdict(dict)
        for path, (request, response) in BODIES.items():
            _, group, method = path.split("/")
            services[group][method] = grpc.unary_unary_rpc_method_handler(
                _handler(grpc, service, path, messages, getattr(olama_pb2, response)),
                request_deserializer=getattr(olama_pb2, request).FromString,
                response_serializer=getattr(olama_pb2, response).SerializeToString,
            )
        self._server = grpc.server(
            ThreadPoolExecutor(WORKERS, "tencent-rpc"),
            handlers=[
                grpc.method_handlers_generic_handler(group, methods)
                for group, methods in services.items()
            ],
            options=[
                ("grpc.max_receive_message_length", max_body),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),  # otherwise two emulators could share a port
            ],
        )
        try:
            self.port = int(self._server.add_insecure_port(f"{host}:{port}"))
        except RuntimeError as error:
            raise ConfigError(
                f"cannot listen for gRPC on {host}:{port}: {error}. Choose another port."
            ) from error
        self._server.start()

    def close(self) -> None:
        """Stop serving and cancel running calls."""
        self._server.stop(grace=None).wait()


def _handler(
    grpc: Any, service: Service, path: str, messages: Messages, response: Any
) -> Callable[[Any, Any], Any]:
    """Return the gRPC handler of one method."""

    def handle(request: Any, context: Any) -> Any:
        metadata = dict(context.invocation_metadata())
        try:
            envelope = service.answer(
                path, metadata.get("authorization", ""), lambda: body_of(path, request)
            )
        except Broken as broken:
            code = getattr(grpc.StatusCode, STATUS.get(broken.status, "UNKNOWN"))
            detail = "Socket closed" if broken.status == 0 else f"HTTP status {broken.status}"
            context.abort(code, f"{detail} (emulated failure)")
        return messages.answer(path, envelope, response)

    return handle
