#!/usr/bin/env python3
"""Kafka's clients of Python, driven by a test: LIBRARY BOOTSTRAP, where the library is confluent-kafka, kafka-python or
aiokafka. Each line of standard input is a command, an object of JSON, and gets a line of JSON. A failure is told by the
name of its class or code, as a program would catch it.
"""

import asyncio
import json
import sys
import time

# A broker that does not answer is given up after this, in seconds.
PATIENCE = 15


class Confluent:
    """librdkafka's own client of Python. Its errors are codes."""

    def __init__(self, bootstrap):
        import confluent_kafka

        self.library = confluent_kafka
        self.common = {
            "bootstrap.servers": bootstrap,
            "socket.timeout.ms": PATIENCE * 1000,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 200,
            # Else it waits half a minute for a topic that it may not find.
            "topic.metadata.propagation.max.ms": 500,
        }
        self.consumers = {}

    def _producer(self, command):
        settings = {"message.timeout.ms": PATIENCE * 1000, "linger.ms": 50}
        return self.library.Producer({**self.common, **settings, **command.get("config", {})})

    def _send(self, producer, records):
        outcomes = [None] * len(records)

        def report(number):
            def delivered(error, message):
                outcomes[number] = error.name() if error else message.offset()

            return delivered

        for number, (topic, value) in enumerate(records):
            producer.produce(topic, value, on_delivery=report(number))
        producer.flush(PATIENCE * 2)
        return outcomes

    def produce(self, command):
        return {"outcomes": self._send(self._producer(command), command["records"])}

    def transact(self, command):
        producer = self._producer(command)
        producer.init_transactions(PATIENCE)
        producer.begin_transaction()
        outcomes = self._send(producer, command["records"])
        producer.commit_transaction(PATIENCE)
        return {"outcomes": outcomes}

    def subscribe(self, command):
        settings = {
            "group.id": command["group"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 200,
            **command.get("config", {}),
        }
        if settings.get("group.protocol") != "consumer":
            settings.setdefault("heartbeat.interval.ms", 500)
        consumer = self.library.Consumer({**self.common, **settings})
        self.consumers[command["name"]] = consumer
        consumer.subscribe(command["topics"])
        return {}

    def poll(self, command):
        consumer, got = self.consumers[command["name"]], []
        deadline = time.monotonic() + command.get("millis", PATIENCE * 1000) / 1000
        while len(got) < command.get("count", sys.maxsize) and time.monotonic() < deadline:
            message = consumer.poll(0.1)
            if message is None:
                continue
            if message.error():
                return {"got": got, "error": message.error().name()}
            got.append(f"{message.topic()}:{message.value().decode()}")
        return {"got": got}

    def commit(self, command):
        self.consumers[command["name"]].commit(asynchronous=False)
        return {}

    def close(self, command):
        self.consumers.pop(command["name"]).close()
        return {}

    def topics(self, _):
        from confluent_kafka.admin import AdminClient

        return {"topics": sorted(AdminClient(self.common).list_topics(timeout=PATIENCE).topics)}

    @staticmethod
    def failure(error):
        first = error.args[0] if error.args else None
        return first.name() if hasattr(first, "name") else type(error).__name__


class KafkaPython:
    """kafka-python."""

    def __init__(self, bootstrap):
        import kafka

        self.library = kafka
        self.bootstrap = bootstrap
        self.consumers = {}

    def _producer(self, command):
        return self.library.KafkaProducer(
            bootstrap_servers=self.bootstrap, max_block_ms=PATIENCE * 1000, linger_ms=50, **command.get("config", {})
        )

    def _send(self, producer, records):
        sent = []
        for topic, value in records:
            try:
                sent.append(producer.send(topic, value.encode()))
            except Exception as error:
                sent.append(error)
        producer.flush(PATIENCE)
        outcomes = []
        for one in sent:
            try:
                if isinstance(one, Exception):
                    raise one
                outcomes.append(one.get(PATIENCE).offset)
            except Exception as error:
                outcomes.append(self.failure(error))
        return outcomes

    def produce(self, command):
        producer = self._producer(command)
        try:
            return {"outcomes": self._send(producer, command["records"])}
        finally:
            producer.close(PATIENCE)

    def transact(self, command):
        producer = self._producer(command)
        try:
            producer.init_transactions()
            producer.begin_transaction()
            outcomes = self._send(producer, command["records"])
            producer.commit_transaction()
            return {"outcomes": outcomes}
        finally:
            producer.close(PATIENCE)

    def subscribe(self, command):
        self.consumers[command["name"]] = consumer = self.library.KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=command["group"],
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            heartbeat_interval_ms=500,
            fetch_max_wait_ms=200,
            **command.get("config", {}),
        )
        consumer.subscribe(command["topics"])
        return {}

    def poll(self, command):
        consumer, got = self.consumers[command["name"]], []
        deadline = time.monotonic() + command.get("millis", PATIENCE * 1000) / 1000
        try:
            while len(got) < command.get("count", sys.maxsize) and time.monotonic() < deadline:
                for records in consumer.poll(100).values():
                    got += [f"{one.topic}:{one.value.decode()}" for one in records]
        except Exception as error:
            return {"got": got, "error": self.failure(error)}
        return {"got": got}

    def commit(self, command):
        self.consumers[command["name"]].commit()
        return {}

    def close(self, command):
        self.consumers.pop(command["name"]).close()
        return {}

    def topics(self, _):
        consumer = self.library.KafkaConsumer(bootstrap_servers=self.bootstrap)
        try:
            return {"topics": sorted(consumer.topics())}
        finally:
            consumer.close()

    @staticmethod
    def failure(error):
        return type(error).__name__


class Aiokafka:
    """aiokafka, in one event loop."""

    def __init__(self, bootstrap):
        import aiokafka

        self.library = aiokafka
        self.bootstrap = bootstrap
        self.consumers = {}
        self.loop = asyncio.new_event_loop()

    def __getattr__(self, name):
        work = object.__getattribute__(self, "_" + name)
        return lambda command: self.loop.run_until_complete(asyncio.wait_for(work(command), PATIENCE * 3))

    async def _sent(self, producer, records):
        sent = []
        for topic, value in records:
            try:
                sent.append(await producer.send(topic, value.encode()))
            except Exception as error:
                sent.append(error)
        outcomes = []
        for one in sent:
            try:
                if isinstance(one, Exception):
                    raise one
                outcomes.append((await asyncio.wait_for(one, PATIENCE)).offset)
            except Exception as error:
                outcomes.append(self.failure(error))
        return outcomes

    def _new(self, command):
        return self.library.AIOKafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=50, **command.get("config", {}))

    async def _produce(self, command):
        producer = self._new(command)
        await producer.start()
        try:
            return {"outcomes": await self._sent(producer, command["records"])}
        finally:
            await producer.stop()

    async def _transact(self, command):
        producer = self._new(command)
        await producer.start()
        try:
            await producer.begin_transaction()
            outcomes = await self._sent(producer, command["records"])
            await producer.commit_transaction()
            return {"outcomes": outcomes}
        finally:
            await producer.stop()

    async def _subscribe(self, command):
        self.consumers[command["name"]] = consumer = self.library.AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=command["group"],
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            heartbeat_interval_ms=500,
            fetch_max_wait_ms=200,
            **command.get("config", {}),
        )
        await consumer.start()
        consumer.subscribe(command["topics"])
        return {}

    async def _poll(self, command):
        consumer, got = self.consumers[command["name"]], []
        deadline = time.monotonic() + command.get("millis", PATIENCE * 1000) / 1000
        try:
            while len(got) < command.get("count", sys.maxsize) and time.monotonic() < deadline:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    got += [f"{one.topic}:{one.value.decode()}" for one in records]
        except Exception as error:
            return {"got": got, "error": self.failure(error)}
        return {"got": got}

    async def _commit(self, command):
        await self.consumers[command["name"]].commit()
        return {}

    async def _close(self, command):
        await self.consumers.pop(command["name"]).stop()
        return {}

    async def _topics(self, _):
        consumer = self.library.AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        try:
            return {"topics": sorted(await consumer.topics())}
        finally:
            await consumer.stop()

    @staticmethod
    def failure(error):
        return type(error).__name__


LIBRARIES = {"confluent-kafka": Confluent, "kafka-python": KafkaPython, "aiokafka": Aiokafka}


def main():
    client = LIBRARIES[sys.argv[1]](sys.argv[2])
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(client, command["do"])(command)
        except Exception as error:
            answer = {"error": client.failure(error), "message": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
