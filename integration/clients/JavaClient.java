import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

/**
 * The HTTP client of the Java library as it comes: it prefers HTTP/2, so over plain text its first request asks for
 * {@code Upgrade: h2c}.
 *
 * <p>Run from source: {@code java JavaClient.java URL [COUNT [URL COUNT]...]}. Prints status and version of each answer;
 * exits with 0 when every request was answered.
 */
public final class JavaClient {
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    private JavaClient() {}

    /** Sends COUNT requests to each URL, one after the other over one client. */
    public static void main(String[] arguments) throws InterruptedException {
        if (arguments.length < 1 || arguments[0].equals("--help")) {
            System.out.println("Usage: java JavaClient.java URL [COUNT [URL COUNT]...]");
            System.exit(arguments.length < 1 ? 2 : 0);
        }
        HttpClient client = HttpClient.newBuilder().connectTimeout(PATIENCE).build();
        boolean failed = false;
        for (int place = 0; place < arguments.length; place += 2) {
            int count = place + 1 < arguments.length ? Integer.parseInt(arguments[place + 1]) : 1;
            HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[place])).timeout(PATIENCE).build();
            for (int number = 0; number < count; number++) {
                try {
                    HttpResponse<byte[]> answer = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
                    System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.body().length);
                } catch (java.io.IOException error) {
                    System.out.println("error " + error);
                    failed = true;
                }
            }
        }
        System.exit(failed ? 1 : 0);
    }
}
