import io.kroxylicious.proxy.KafkaProxy;
import io.kroxylicious.proxy.config.ConfigParser;
import io.kroxylicious.proxy.internal.config.Features;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** Kroxylicious with the settings of a file, until it is killed. */
public final class Proxy {
    private Proxy() {
    }

    public static void main(String[] arguments) throws Exception {
        ConfigParser parser = new ConfigParser();
        try (InputStream file = Files.newInputStream(Path.of(arguments[0]));
                KafkaProxy proxy = new KafkaProxy(parser, parser.parseConfiguration(file), Features.defaultFeatures())) {
            proxy.startup();
            proxy.block();
        }
    }
}
