import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeSet;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka's own clients, driven by a test: each line of standard input is a command, an object of JSON, and gets a line of
 * JSON. A failure is told by the name of its class, as a program would catch it.
 */
public final class KafkaClient {
    private static final ObjectMapper JSON = new ObjectMapper();
    /** A broker that does not answer is given up after this, in milliseconds. */
    private static final int PATIENCE = 15_000;

    private final String bootstrap;
    private final Map<String, Consumer<String, String>> consumers = new HashMap<>();
    private final Map<String, KafkaShareConsumer<String, String>> shares = new HashMap<>();
    private final Map<String, Producer<String, String>> producers = new HashMap<>();

    private KafkaClient(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    public static void main(String[] arguments) throws Exception {
        KafkaClient client = new KafkaClient(arguments[0]);
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(client.answer(JSON.readTree(line)));
        }
        // Nobody asks any more; what is open goes with the process.
        Runtime.getRuntime().halt(0);
    }

    private ObjectNode answer(JsonNode command) {
        ObjectNode answer = JSON.createObjectNode();
        try {
            carryOut(command, answer);
        } catch (Exception failure) {
            Throwable cause = cause(failure);
            answer.put("error", cause.getClass().getSimpleName());
            answer.put("message", String.valueOf(cause.getMessage()));
        }
        return answer;
    }

    private void carryOut(JsonNode command, ObjectNode answer) throws Exception {
        String what = command.path("do").asText();
        switch (what) {
            case "produce" -> produce(command, answer);
            case "flood" -> flood(command, answer);
            case "transact" -> transact(command, answer);
            case "pipe" -> pipe(command, answer);
            case "subscribe" -> subscribe(command);
            case "poll" -> poll(command, answer);
            case "commit" -> consumers.get(name(command)).commitSync(Duration.ofMillis(PATIENCE));
            case "close" -> close(command);
            case "streams" -> streams(command, answer);
            default -> admin(what, command, answer);
        }
    }

    // What failed, without what only says that something did.
    private static Throwable cause(Throwable failure) {
        boolean wrapped = failure instanceof ExecutionException || failure instanceof CompletionException;
        return wrapped && failure.getCause() != null ? cause(failure.getCause()) : failure;
    }

    private static String name(JsonNode command) {
        return command.path("name").asText("");
    }

    private static List<String> texts(JsonNode list) {
        List<String> texts = new ArrayList<>();
        list.forEach(entry -> texts.add(entry.asText()));
        return texts;
    }

    // Settings that keep a test short, and those of the command.
    private Properties settings(JsonNode command) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("default.api.timeout.ms", PATIENCE);
        settings.put("request.timeout.ms", PATIENCE / 3);
        settings.put("reconnect.backoff.ms", 20);
        settings.put("reconnect.backoff.max.ms", 200);
        settings.put("retry.backoff.ms", 20);
        settings.put("retry.backoff.max.ms", 200);
        command.path("config").properties().forEach(entry -> settings.put(entry.getKey(), entry.getValue().asText()));
        return settings;
    }

    private Producer<String, String> producer(JsonNode command) {
        Properties settings = settings(command);
        settings.remove("default.api.timeout.ms");
        settings.putIfAbsent("max.block.ms", PATIENCE);
        settings.putIfAbsent("delivery.timeout.ms", PATIENCE * 2);
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    private static ProducerRecord<String, String> record(JsonNode record) {
        return new ProducerRecord<>(record.path(0).asText(), record.path(1).asText());
    }

    // Each record is [topic, value]; each outcome an offset, or the class of its failure.
    private void produce(JsonNode command, ObjectNode answer) {
        Producer<String, String> producer = producers.computeIfAbsent(name(command), any -> producer(command));
        List<Object> sent = new ArrayList<>();
        for (JsonNode record : command.path("records")) {
            try {
                sent.add(producer.send(record(record)));
            } catch (RuntimeException failure) {
                sent.add(failure);
            }
        }
        producer.flush();
        ArrayNode outcomes = answer.putArray("outcomes");
        sent.forEach(one -> outcome(one, outcomes));
        if (name(command).isEmpty()) {
            producers.remove("").close(Duration.ofMillis(PATIENCE));
        }
    }

    private static void outcome(Object sent, ArrayNode outcomes) {
        try {
            if (sent instanceof RuntimeException failure) {
                throw failure;
            }
            @SuppressWarnings("unchecked")
            Future<RecordMetadata> future = (Future<RecordMetadata>) sent;
            outcomes.add(future.get(3L * PATIENCE, TimeUnit.MILLISECONDS).offset());
        } catch (Exception failure) {
            outcomes.add(cause(failure).getClass().getSimpleName());
        }
    }

    // Many records, one after the other, to topics in turn: how many were taken, and what failed.
    private void flood(JsonNode command, ObjectNode answer) throws Exception {
        TreeSet<String> failures = new TreeSet<>();
        int taken = 0;
        try (Producer<String, String> producer = producer(command)) {
            List<String> topics = texts(command.path("topics"));
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int number = 0; number < command.path("count").asInt(); number++) {
                sent.add(producer.send(new ProducerRecord<>(topics.get(number % topics.size()), "n" + number)));
                Thread.sleep(command.path("pause").asInt());
            }
            for (Future<RecordMetadata> one : sent) {
                try {
                    one.get(3L * PATIENCE, TimeUnit.MILLISECONDS);
                    taken++;
                } catch (ExecutionException failure) {
                    failures.add(cause(failure).getClass().getSimpleName());
                }
            }
        }
        answer.put("taken", taken).set("failures", JSON.valueToTree(failures));
    }

    // A transaction with some records.
    private void transact(JsonNode command, ObjectNode answer) throws Exception {
        try (Producer<String, String> producer = producer(command)) {
            producer.initTransactions();
            producer.beginTransaction();
            ArrayNode outcomes = answer.putArray("outcomes");
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (JsonNode record : command.path("records")) {
                sent.add(producer.send(record(record)));
            }
            producer.flush();
            sent.forEach(one -> outcome(one, outcomes));
            if (command.path("abort").asBoolean()) {
                producer.abortTransaction();
            } else {
                producer.commitTransaction();
            }
        }
    }

    // Reads from one topic, writes to another, and commits both in one transaction.
    private void pipe(JsonNode command, ObjectNode answer) throws Exception {
        String group = command.path("group").asText();
        try (Producer<String, String> producer = producer(command); Consumer<String, String> consumer = consumer(command, group)) {
            consumer.subscribe(List.of(command.path("from").asText()));
            List<ConsumerRecord<String, String>> read = new ArrayList<>();
            long deadline = System.nanoTime() + PATIENCE * 1_000_000L;
            while (read.size() < command.path("count").asInt() && System.nanoTime() < deadline) {
                consumer.poll(Duration.ofMillis(100)).forEach(read::add);
            }
            producer.initTransactions();
            producer.beginTransaction();
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
            for (ConsumerRecord<String, String> one : read) {
                producer.send(new ProducerRecord<>(command.path("to").asText(), one.value()));
                offsets.put(new TopicPartition(one.topic(), one.partition()), new OffsetAndMetadata(one.offset() + 1));
            }
            producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
            producer.commitTransaction();
            answer.put("piped", read.size());
        }
    }

    private Consumer<String, String> consumer(JsonNode command, String group) {
        Properties settings = settings(command);
        settings.keySet().removeIf(key -> key.equals("transactional.id"));
        if (!group.isEmpty()) {
            settings.put("group.id", group);
        }
        settings.put("enable.auto.commit", "false");
        settings.putIfAbsent("auto.offset.reset", "earliest");
        settings.putIfAbsent("fetch.max.wait.ms", "200");
        if (!"consumer".equals(settings.get("group.protocol"))) {
            settings.putIfAbsent("heartbeat.interval.ms", "500");
        }
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    // A consumer that stays: by a list of topics, a pattern, or with partitions of its own.
    private void subscribe(JsonNode command) {
        List<String> topics = texts(command.path("topics"));
        String group = command.path("group").asText();
        if (command.path("share").asBoolean()) {
            Properties settings = settings(command);
            settings.put("group.id", group);
            KafkaShareConsumer<String, String> share =
                new KafkaShareConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
            shares.put(name(command), share);
            share.subscribe(topics);
            return;
        }
        Consumer<String, String> consumer = consumer(command, group);
        consumers.put(name(command), consumer);
        if (command.has("pattern")) {
            consumer.subscribe(Pattern.compile(command.path("pattern").asText()));
        } else if (command.path("assign").asBoolean()) {
            consumer.assign(topics.stream().map(topic -> new TopicPartition(topic, 0)).toList());
        } else {
            consumer.subscribe(topics);
        }
    }

    // Until there are so many records, or time is over; both are no failure.
    private void poll(JsonNode command, ObjectNode answer) {
        int count = command.path("count").asInt(Integer.MAX_VALUE);
        long deadline = System.nanoTime() + command.path("millis").asLong(PATIENCE) * 1_000_000L;
        List<String> got = new ArrayList<>();
        try {
            do {
                Duration wait = Duration.ofMillis(100);
                ConsumerRecords<String, String> records =
                    shares.containsKey(name(command)) ? shares.get(name(command)).poll(wait) : consumers.get(name(command)).poll(wait);
                records.forEach(one -> got.add(one.topic() + ":" + one.value()));
            } while (got.size() < count && System.nanoTime() < deadline);
        } finally {
            answer.set("got", JSON.valueToTree(got));
        }
    }

    private void close(JsonNode command) {
        if (shares.containsKey(name(command))) {
            shares.remove(name(command)).close(Duration.ofMillis(PATIENCE));
        } else if (consumers.containsKey(name(command))) {
            consumers.remove(name(command)).close(CloseOptions.timeout(Duration.ofMillis(PATIENCE)));
        } else {
            producers.remove(name(command)).close(Duration.ofMillis(PATIENCE));
        }
    }

    // Counts the values of a topic by themselves, until so many were read from it or something fails.
    private void streams(JsonNode command, ObjectNode answer) throws Exception {
        Properties settings = settings(command);
        settings.put("application.id", command.path("id").asText());
        settings.put("state.dir", command.path("directory").asText());
        settings.put("default.key.serde", Serdes.StringSerde.class);
        settings.put("default.value.serde", Serdes.StringSerde.class);
        settings.put("auto.offset.reset", "earliest");
        settings.put("commit.interval.ms", "100");
        settings.put("statestore.cache.max.bytes", "0");
        StreamsBuilder builder = new StreamsBuilder();
        LinkedBlockingQueue<String> events = new LinkedBlockingQueue<>();
        builder.<String, String>stream(command.path("from").asText())
            .groupBy((key, value) -> value)
            .count(Materialized.<String, Long>as(Stores.inMemoryKeyValueStore("counts")).withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()))
            .toStream()
            .mapValues((value, count) -> value + "=" + count)
            .peek((key, value) -> events.add(value))
            .to(command.path("to").asText(), Produced.with(Serdes.String(), Serdes.String()));
        List<Throwable> failures = Collections.synchronizedList(new ArrayList<>());
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(failure -> {
            failures.add(failure);
            events.add("failed");
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
        List<String> counted = new ArrayList<>();
        while (failures.isEmpty() && counted.size() < command.path("count").asInt()) {
            String event = events.poll(2L * PATIENCE, TimeUnit.MILLISECONDS);
            if (event == null) {
                break;
            }
            counted.add(event);
        }
        // Its output is sent and its offsets are committed when it is closed.
        streams.close(Duration.ofMillis(PATIENCE));
        ArrayNode causes = answer.putArray("causes");
        for (Throwable at = failures.isEmpty() ? null : failures.get(0); at != null; at = at.getCause()) {
            causes.add(at.getClass().getSimpleName());
        }
        counted.removeIf("failed"::equals);
        answer.set("counted", JSON.valueToTree(counted));
    }

    private void admin(String what, JsonNode command, ObjectNode answer) throws Exception {
        List<String> names = texts(command.path("names"));
        try (Admin admin = Admin.create(settings(command))) {
            switch (what) {
                case "create" -> admin.createTopics(names.stream().map(name -> new NewTopic(name, 1, (short) 1)).toList()).all().get();
                case "delete" -> admin.deleteTopics(names).all().get();
                case "list" -> answer.set("topics", JSON.valueToTree(new TreeSet<>(admin.listTopics().names().get())));
                case "describe" -> answer.set("topics", JSON.valueToTree(admin.describeTopics(names).allTopicNames().get().keySet()));
                case "groups" -> {
                    TreeSet<String> groups = new TreeSet<>();
                    admin.listGroups().all().get().forEach(group -> groups.add(group.groupId()));
                    answer.set("groups", JSON.valueToTree(groups));
                }
                case "committed" -> {
                    ObjectNode committed = answer.putObject("committed");
                    admin.listConsumerGroupOffsets(names.get(0)).partitionsToOffsetAndMetadata().get()
                        .forEach((partition, offset) -> committed.put(partition.topic(), offset.offset()));
                }
                case "end" -> {
                    Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
                    names.forEach(name -> wanted.put(new TopicPartition(name, 0), OffsetSpec.latest()));
                    ObjectNode ends = answer.putObject("ends");
                    admin.listOffsets(wanted).all().get().forEach((partition, end) -> ends.put(partition.topic(), end.offset()));
                }
                case "empty" -> {
                    Map<TopicPartition, RecordsToDelete> wanted = new HashMap<>();
                    names.forEach(name -> wanted.put(new TopicPartition(name, 0), RecordsToDelete.beforeOffset(-1)));
                    admin.deleteRecords(wanted).all().get();
                }
                case "configs" -> admin.describeConfigs(
                    names.stream().map(name -> new ConfigResource(ConfigResource.Type.TOPIC, name)).toList()).all().get();
                case "cluster" -> answer.put("nodes", admin.describeCluster().nodes().get().size());
                default -> throw new IllegalArgumentException(what);
            }
        }
    }
}
