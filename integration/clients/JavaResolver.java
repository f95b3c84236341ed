import java.net.InetAddress;

/**
 * The resolver of the Java library as it comes.
 *
 * <p>Run from source: {@code java JavaResolver.java NAME}. Prints the addresses, one a line.
 */
public final class JavaResolver {
    private JavaResolver() {}

    /** Resolves one name. */
    public static void main(String[] arguments) throws java.net.UnknownHostException {
        for (InetAddress address : InetAddress.getAllByName(arguments[0])) {
            System.out.println(address.getHostAddress());
        }
    }
}
