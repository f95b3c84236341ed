import io.kroxylicious.proxy.filter.FetchRequestFilter;
import io.kroxylicious.proxy.filter.FilterContext;
import io.kroxylicious.proxy.filter.FilterFactory;
import io.kroxylicious.proxy.filter.FilterFactoryContext;
import io.kroxylicious.proxy.filter.ProduceRequestFilter;
import io.kroxylicious.proxy.filter.RequestFilterResult;
import io.kroxylicious.proxy.plugin.Plugin;
import java.util.Set;
import java.util.concurrent.CompletionStage;
import org.apache.kafka.common.errors.TopicAuthorizationException;
import org.apache.kafka.common.message.FetchRequestData;
import org.apache.kafka.common.message.ProduceRequestData;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.protocol.ApiMessage;

/** Forwards what writes to and reads from some topics, and denies all other of that. */
@Plugin(configType = Topics.Settings.class)
public final class Topics implements FilterFactory<Topics.Settings, Topics.Settings> {
    /** The topics that are allowed. */
    public record Settings(Set<String> allowed) {
    }

    @Override
    public Settings initialize(FilterFactoryContext context, Settings settings) {
        return settings;
    }

    @Override
    public Filter createFilter(FilterFactoryContext context, Settings settings) {
        return new Filter(settings.allowed());
    }

    /** Of one connection. */
    public static final class Filter implements ProduceRequestFilter, FetchRequestFilter {
        private final Set<String> allowed;

        Filter(Set<String> allowed) {
            this.allowed = allowed;
        }

        @Override
        public CompletionStage<RequestFilterResult> onProduceRequest(
                short version, RequestHeaderData header, ProduceRequestData request, FilterContext context) {
            for (var topic : request.topicData()) {
                if (!allowed.contains(topic.name())) {
                    return denied(header, request, context);
                }
            }
            return context.forwardRequest(header, request);
        }

        @Override
        public CompletionStage<RequestFilterResult> onFetchRequest(
                short version, RequestHeaderData header, FetchRequestData request, FilterContext context) {
            for (var topic : request.topics()) {
                if (!allowed.contains(topic.topic())) {
                    return denied(header, request, context);
                }
            }
            return context.forwardRequest(header, request);
        }

        private static CompletionStage<RequestFilterResult> denied(
                RequestHeaderData header, ApiMessage request, FilterContext context) {
            return context.requestFilterResultBuilder()
                    .errorResponse(header, request, new TopicAuthorizationException("denied"))
                    .completed();
        }
    }
}
