import com.sun.net.httpserver.HttpServer;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.FileOutputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.Executors;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.util.Callback;

/**
 * HTTP servers of Java in one process: Netty, Jetty, the JDK's own, and Tomcat. Each answers every request with 200, and
 * writes a line for it into its own log: method, target, and for Tomcat the path that its application is given.
 */
public final class Servers {
    private static final int LARGEST = 1 << 20;

    private final String address;
    private final Path logs;

    private Servers(String address, Path logs) {
        this.address = address;
        this.logs = logs;
    }

    /** Usage: Servers ADDRESS LOGS NAME=PORT... */
    public static void main(String[] arguments) throws Exception {
        Servers servers = new Servers(arguments[0], Path.of(arguments[1]));
        for (int at = 2; at < arguments.length; at++) {
            String[] words = arguments[at].split("=");
            servers.start(words[0], Integer.parseInt(words[1]));
        }
        System.out.println("serving");
        Thread.currentThread().join();
    }

    private void start(String name, int port) throws Exception {
        Log log = new Log(new FileOutputStream(logs.resolve(name + ".log").toFile(), true));
        switch (name) {
            case "netty" -> netty(port, log);
            case "jetty" -> jetty(port, log);
            case "jdk" -> jdk(port, log);
            case "tomcat" -> tomcat(port, log);
            default -> throw new IllegalArgumentException(name);
        }
    }

    /** One line a request, written at once. */
    private static final class Log {
        private final PrintStream out;

        private Log(OutputStream out) {
            this.out = new PrintStream(out, true, StandardCharsets.ISO_8859_1);
        }

        private synchronized void note(String... words) {
            StringBuilder line = new StringBuilder();
            for (char letter : String.join(" ", words).toCharArray()) {
                line.append(letter < ' ' || letter > '~' ? '?' : letter);
            }
            out.println(line);
        }
    }

    private static byte[] said(String method, String target) {
        return ("ok " + method + " " + target + "\n").getBytes(StandardCharsets.ISO_8859_1);
    }

    private void netty(int port, Log log) throws InterruptedException {
        NioEventLoopGroup group = new NioEventLoopGroup(2);
        new ServerBootstrap().group(group).channel(NioServerSocketChannel.class).childHandler(new ChannelInitializer<SocketChannel>() {
            @Override
            protected void initChannel(SocketChannel channel) {
                channel.pipeline().addLast(new HttpServerCodec(), new HttpObjectAggregator(LARGEST), new Answering(log));
            }
        }).bind(address, port).sync();
    }

    private static final class Answering extends SimpleChannelInboundHandler<FullHttpRequest> {
        private final Log log;

        private Answering(Log log) {
            this.log = log;
        }

        @Override
        protected void channelRead0(ChannelHandlerContext context, FullHttpRequest request) {
            boolean sound = request.decoderResult().isSuccess();
            if (sound) {
                log.note(request.method().name(), request.uri());
            }
            HttpResponseStatus status = sound ? HttpResponseStatus.OK : HttpResponseStatus.BAD_REQUEST;
            byte[] body = said(request.method().name(), request.uri());
            var answer = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, status, Unpooled.wrappedBuffer(body));
            answer.headers().set(HttpHeaderNames.CONTENT_LENGTH, body.length);
            var sent = context.writeAndFlush(answer);
            if (!sound || !HttpUtil.isKeepAlive(request)) {
                sent.addListener(ChannelFutureListener.CLOSE);
            }
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
            context.close();
        }
    }

    private void jetty(int port, Log log) throws Exception {
        Server server = new Server();
        ServerConnector connector = new ServerConnector(server);
        connector.setHost(address);
        connector.setPort(port);
        server.addConnector(connector);
        server.setHandler(new Handler.Abstract() {
            @Override
            public boolean handle(Request request, Response response, Callback callback) throws Exception {
                log.note(request.getMethod(), request.getHttpURI().getPathQuery());
                Content.Source.consumeAll(request);
                response.write(true, java.nio.ByteBuffer.wrap(said(request.getMethod(), request.getHttpURI().getPathQuery())), callback);
                return true;
            }
        });
        server.start();
    }

    private void jdk(int port, Log log) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(address, port), 0);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/", exchange -> {
            String method = exchange.getRequestMethod();
            String target = exchange.getRequestURI().toString();
            log.note(method, target);
            try (InputStream body = exchange.getRequestBody()) {
                body.readAllBytes();
            }
            byte[] answer = said(method, target);
            exchange.sendResponseHeaders(200, method.equals("HEAD") ? -1 : answer.length);
            try (OutputStream out = exchange.getResponseBody()) {
                if (!method.equals("HEAD")) {
                    out.write(answer);
                }
            }
        });
        server.start();
    }

    private void tomcat(int port, Log log) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(logs.resolve("tomcat").toString());
        tomcat.setPort(port);
        tomcat.getConnector().setProperty("address", address);
        Context context = tomcat.addContext("", logs.toString());
        Tomcat.addServlet(context, "all", new HttpServlet() {
            @Override
            protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
                String query = request.getQueryString();
                String target = request.getRequestURI() + (query == null ? "" : "?" + query);
                log.note(request.getMethod(), target, request.getPathInfo());
                request.getInputStream().readAllBytes();
                response.getOutputStream().write(said(request.getMethod(), target));
            }
        });
        context.addServletMappingDecoded("/*", "all");
        tomcat.start();
    }
}
