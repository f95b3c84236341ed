import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.requests.RequestHeader;

/**
 * Reads requests as a broker does: frames from standard input. For each a line: how many bytes are left behind the
 * request, and its body as Kafka writes it; or what is wrong with it.
 */
public final class Reader {
    public static void main(String[] arguments) throws Exception {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in));
        PrintStream out = new PrintStream(System.out, false, "US-ASCII");
        while (true) {
            byte[] frame;
            try {
                frame = new byte[in.readInt()];
            } catch (EOFException end) {
                break;
            }
            in.readFully(frame);
            out.println(read(ByteBuffer.wrap(frame)));
        }
        out.flush();
    }

    private static String read(ByteBuffer frame) {
        try {
            RequestHeader header = RequestHeader.parse(frame);
            short version = header.apiVersion();
            ApiMessage message = ApiMessageType.fromApiKey(header.apiKey().id).newRequest();
            message.read(new ByteBufferAccessor(frame), version);
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer again = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(again), cache, version);
            return frame.remaining() + " " + HexFormat.of().formatHex(again.array());
        } catch (RuntimeException wrong) {
            return "wrong " + wrong.toString().replace('\n', ' ');
        }
    }
}
