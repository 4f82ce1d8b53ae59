"""grpcio with stubs that are generated from the vendor's proto."""

import io
import json
import queue
import sys
import tempfile
import time
import unittest
from pathlib import Path

import fastavro
import grpc
import grpc_tools
import jwt
import requests
from grpc_tools import protoc

import sandbox

HERE = Path(__file__).parent
STUBS = tempfile.TemporaryDirectory()
_CODE = protoc.main(
    [
        "protoc",
        f"-I{HERE}",
        f"-I{Path(grpc_tools.__file__).parent / '_proto'}",
        f"--python_out={STUBS.name}",
        f"--grpc_python_out={STUBS.name}",
        "pubsub_api.proto",
    ]
)
if _CODE != 0:
    raise RuntimeError("the vendor's proto does not compile")
sys.path.insert(0, STUBS.name)
import pubsub_api_pb2 as pb  # noqa: E402
import pubsub_api_pb2_grpc as rpc  # noqa: E402

PREFIX = "sfdc.platform.eventbus.grpc."
DEADLINE = 20


def log_in():
    claims = {
        "iss": sandbox.CLIENT_ID,
        "sub": sandbox.USERNAME,
        "aud": sandbox.LOGIN,
        "exp": int(time.time()) + 180,
    }
    key = Path(sandbox.KEY_FILE).read_text(encoding="utf-8")
    answer = requests.post(
        f"{sandbox.LOGIN}/services/oauth2/token",
        data={
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": jwt.encode(claims, key, algorithm="RS256"),
        },
        timeout=10,
    ).json()
    return (
        ("accesstoken", answer["access_token"]),
        ("instanceurl", answer["instance_url"]),
        ("tenantid", answer["id"].split("/")[-2]),
    )


class Requests:
    """The requests of a stream, which ends with the first None."""

    def __init__(self, *first):
        self.queue = queue.Queue()
        for request in first:
            self.queue.put(request)

    def __iter__(self):
        return iter(self.queue.get, None)


def publish(count):
    return [
        sandbox.control(
            "POST", "/events", {"OrderId__c": "801000000000001AAA", "IdemKey__c": f"g{at}"}
        )
        for at in range(count)
    ]


def error_code(error):
    trailers = dict(error.trailing_metadata())
    return trailers.get("error-code", "").removeprefix(PREFIX)


class PubSub(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        roots = Path(sandbox.CA_FILE).read_bytes()
        credentials = grpc.ssl_channel_credentials(root_certificates=roots)
        cls.channel = grpc.secure_channel(sandbox.PUBSUB, credentials)
        cls.stub = rpc.PubSubStub(cls.channel)
        cls.metadata = log_in()

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        STUBS.cleanup()

    def subscribe(self, *requests_):
        requests_ = Requests(*requests_)
        stream = self.stub.Subscribe(iter(requests_), metadata=self.metadata, timeout=DEADLINE)
        return requests_, stream

    def fetch(self, preset=pb.LATEST, replay_id=b"", count=100, topic=sandbox.CHANNEL):
        return pb.FetchRequest(
            topic_name=topic, replay_preset=preset, replay_id=replay_id, num_requested=count
        )

    def refused(self, stream):
        with self.assertRaises(grpc.RpcError) as raised:
            for _ in stream:
                pass
        return raised.exception

    def schema(self):
        topic = self.stub.GetTopic(
            pb.TopicRequest(topic_name=sandbox.CHANNEL), metadata=self.metadata
        )
        answer = self.stub.GetSchema(
            pb.SchemaRequest(schema_id=topic.schema_id), metadata=self.metadata
        )
        return answer.schema_id, fastavro.parse_schema(json.loads(answer.schema_json))

    def event(self, key, size=0):
        schema_id, schema = self.schema()
        out = io.BytesIO()
        fastavro.schemaless_writer(
            out,
            schema,
            {
                "CreatedDate": int(time.time() * 1000),
                "CreatedById": "005000000000001AAA",
                "OrderId__c": "801000000000001AAA",
                "IdemKey__c": key,
                "CorrelationId__c": "x" * size or None,
                "RequestedBy__c": None,
                "Version__c": 1.0,
            },
        )
        return pb.ProducerEvent(id=key, schema_id=schema_id, payload=out.getvalue())

    def test_events_are_decoded_with_the_schema_they_name(self):
        made = publish(1)[0]
        requests_, stream = self.subscribe(self.fetch(pb.EARLIEST))
        _, schema = self.schema()
        for response in stream:
            for one in response.events:
                if one.event.id == made["event_id"]:
                    data = fastavro.schemaless_reader(io.BytesIO(one.event.payload), schema)
                    self.assertEqual(data["IdemKey__c"], "g0")
                    stream.cancel()
                    return
            if response.pending_num_requested == 0:
                requests_.queue.put(self.fetch())

    def test_credit_is_counted_and_never_exceeded(self):
        made = publish(30)
        first = bytes.fromhex(made[0]["replay_id"])
        requests_, stream = self.subscribe(self.fetch(pb.CUSTOM, first, 10))
        seen = 0
        for response in stream:
            seen += len(response.events)
            self.assertEqual(response.pending_num_requested, 10 - seen % 10 if seen % 10 else 0)
            if seen == 10:
                break
        requests_.queue.put(self.fetch(count=19))
        for response in stream:
            seen += len(response.events)
            if seen == 29:
                break
        self.assertEqual(len(response.rpc_id), 36)
        stream.cancel()

    def test_replay_ids_of_eight_and_ten_bytes_are_accepted(self):
        first, second = publish(2)
        whole = bytes.fromhex(first["replay_id"])
        for replay_id in (whole, whole[:8]):
            _, stream = self.subscribe(self.fetch(pb.CUSTOM, replay_id, 1))
            response = next(stream)
            self.assertEqual([one.event.id for one in response.events], [second["event_id"]])
            stream.cancel()

    def test_bad_requests_have_the_error_codes_of_the_service(self):
        for request, code, status in (
            (
                self.fetch(pb.CUSTOM, b"\1" * 10),
                "subscription.fetch.replayid.corrupted",
                grpc.StatusCode.INVALID_ARGUMENT,
            ),
            (
                self.fetch(pb.CUSTOM, b""),
                "subscription.fetch.replayid.validation.failed",
                grpc.StatusCode.INVALID_ARGUMENT,
            ),
            (
                self.fetch(count=0),
                "subscription.fetch.requested.events.invalid",
                grpc.StatusCode.INVALID_ARGUMENT,
            ),
            (self.fetch(topic="/event/No__e"), "topic.not.found", grpc.StatusCode.NOT_FOUND),
        ):
            _, stream = self.subscribe(request)
            error = self.refused(stream)
            self.assertEqual((error.code(), error_code(error)), (status, code))

    def test_keepalive_of_an_idle_stream_has_a_position_to_resume_from(self):
        sandbox.control("POST", "/knobs", {"bus": {"keepalive_ms": 100}})
        _, stream = self.subscribe(self.fetch(count=5))
        response = next(stream)
        stream.cancel()
        sandbox.control("POST", "/knobs", {"bus": {"keepalive_ms": 60_000}})
        self.assertEqual((len(response.events), response.pending_num_requested), (0, 5))
        made = publish(1)[0]
        _, stream = self.subscribe(self.fetch(pb.CUSTOM, response.latest_replay_id, 1))
        self.assertEqual(next(stream).events[0].event.id, made["event_id"])
        stream.cancel()

    def test_replay_id_older_than_three_days_is_refused(self):
        old = bytes.fromhex(publish(1)[0]["replay_id"])
        sandbox.control("POST", "/knobs", {"clock_seconds": 73 * 3600})
        try:
            type(self).metadata = log_in()
            _, stream = self.subscribe(self.fetch(pb.CUSTOM, old, 1))
            code = error_code(self.refused(stream))
            self.assertEqual(code, "subscription.fetch.replayid.corrupted")
        finally:
            sandbox.control("POST", "/knobs", {"clock_seconds": -73 * 3600})
            type(self).metadata = log_in()

    def test_wrong_token_is_refused(self):
        metadata = [("accesstoken", "00D!no"), *self.metadata[1:]]
        with self.assertRaises(grpc.RpcError) as raised:
            self.stub.GetTopic(pb.TopicRequest(topic_name=sandbox.CHANNEL), metadata=metadata)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAUTHENTICATED)
        self.assertEqual(error_code(raised.exception), "service.auth.error")

    def test_response_stays_below_three_megabytes(self):
        start = bytes.fromhex(publish(1)[0]["replay_id"])
        event = self.event("large", 700_000)
        for _ in range(3):
            answer = self.stub.Publish(
                pb.PublishRequest(topic_name=sandbox.CHANNEL, events=[event] * 4),
                metadata=self.metadata,
            )
            self.assertEqual(len(answer.results), 4)
        requests_, stream = self.subscribe(self.fetch(pb.CUSTOM, start))
        del requests_
        seen = 0
        for response in stream:
            self.assertLess(response.ByteSize(), 3 * 1024 * 1024 + 1)
            seen += len(response.events)
            if seen == 12:
                break
        stream.cancel()

    def test_publish_answers_positions_in_order_and_refuses_an_unknown_topic(self):
        answer = self.stub.Publish(
            pb.PublishRequest(
                topic_name=sandbox.CHANNEL, events=[self.event("p1"), self.event("p2")]
            ),
            metadata=self.metadata,
        )
        self.assertEqual([one.correlation_key for one in answer.results], ["p1", "p2"])
        self.assertLess(answer.results[0].replay_id, answer.results[1].replay_id)
        with self.assertRaises(grpc.RpcError) as raised:
            self.stub.Publish(
                pb.PublishRequest(topic_name="/event/No__e", events=[self.event("p3")]),
                metadata=self.metadata,
            )
        self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)
        self.assertEqual(error_code(raised.exception), "topic.not.found")

    def test_publish_stream_answers_each_request(self):
        requests_ = Requests(
            pb.PublishRequest(topic_name=sandbox.CHANNEL, events=[self.event("s1")]),
            pb.PublishRequest(events=[self.event("s2")]),
            None,
        )
        stream = self.stub.PublishStream(
            iter(requests_), metadata=self.metadata, timeout=DEADLINE
        )
        keys = [one.correlation_key for response in stream for one in response.results]
        self.assertEqual(keys, ["s1", "s2"])

    def test_second_client_of_a_managed_subscription_is_refused(self):
        sandbox.control("POST", "/managed", {"developer_name": "Fidelity_Grpc"})
        first = Requests(pb.ManagedFetchRequest(developer_name="Fidelity_Grpc", num_requested=1))
        held = self.stub.ManagedSubscribe(
            iter(first), metadata=self.metadata, timeout=DEADLINE
        )
        publish(1)
        event = next(held)
        self.assertEqual(len(event.events), 1)
        second = Requests(pb.ManagedFetchRequest(developer_name="Fidelity_Grpc", num_requested=1))
        error = self.refused(
            self.stub.ManagedSubscribe(iter(second), metadata=self.metadata, timeout=DEADLINE)
        )
        self.assertEqual(error.code(), grpc.StatusCode.ALREADY_EXISTS)
        first.queue.put(
            pb.ManagedFetchRequest(
                commit_replay_id_request=pb.CommitReplayRequest(
                    commit_request_id="c1", replay_id=event.events[0].replay_id
                )
            )
        )
        answer = next(held)
        self.assertEqual(answer.commit_response.commit_request_id, "c1")
        self.assertFalse(answer.commit_response.HasField("error"))
        first.queue.put(None)
        held.cancel()
        second.queue.put(None)


if __name__ == "__main__":
    unittest.main()
