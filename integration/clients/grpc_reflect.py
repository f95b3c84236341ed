#!/usr/bin/python3
"""A stock gRPC client that knows nothing of the API but what reflection tells (PyPI's grpcio and grpcio-reflection).

`deploy/setup.sh test` makes the Python environment that it runs in.
"""

import argparse
import json
import pathlib
import sys

import environment

try:
    import grpc
    from google.protobuf import json_format, message_factory
    from google.protobuf.descriptor_pool import DescriptorPool
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
except ModuleNotFoundError as missing:
    environment.enter(missing)

SERVICE = "portcullis.v1.ConfigService"


def stream_resources(channel, documents, version):
    """Pushes all documents in one update; the answer of the server as a dictionary."""
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    method = pool.FindServiceByName(SERVICE).FindMethodByName("StreamResources")
    request_class = message_factory.GetMessageClass(method.input_type)
    answer_class = message_factory.GetMessageClass(method.output_type)
    request = request_class(nonce="1", version=version)
    for document in documents:
        resource = request.resources.add(version=version)
        resource.policy.document = document
    call = channel.stream_stream(
        f"/{SERVICE}/StreamResources",
        request_serializer=request_class.SerializeToString,
        response_deserializer=answer_class.FromString,
    )
    for answer in call(iter([request])):
        return json_format.MessageToDict(answer)
    raise SystemExit("the stream ended without an answer")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("server", help="unix:PATH or HOST:PORT")
    parts = parser.add_subparsers(dest="part", required=True)
    parts.add_parser("list", help="print the services as JSON")
    push = parts.add_parser("push", help="push policies in ONE update; print the answer, with one result each, as JSON")
    push.add_argument("documents", nargs="+", type=pathlib.Path, metavar="FILE", help="one policy document")
    push.add_argument("--version", default="1", help="version of the update and of each resource")
    parser.add_argument("--timeout", type=float, default=10, help="seconds until the server answers (default: %(default)s)")
    arguments = parser.parse_args()
    # The default name of a unix socket is its path in percent signs, which servers may refuse as an authority.
    with grpc.insecure_channel(arguments.server, options=[("grpc.default_authority", "localhost")]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=arguments.timeout)
            if arguments.part == "list":
                told = sorted(ProtoReflectionDescriptorDatabase(channel).get_services())
            else:
                documents = [path.read_text() for path in arguments.documents]
                told = stream_resources(channel, documents, arguments.version)
        except grpc.FutureTimeoutError:
            sys.exit(f"{arguments.server} does not answer")
        except grpc.RpcError as error:
            sys.exit(f"{error.code().name}: {error.details()}")
    print(json.dumps(told, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
