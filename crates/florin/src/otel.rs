//! Traces to a collector over OTLP (HTTP, protobuf): requests, and what went to providers for them. In builds with the feature `otel`, and
//! only if `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set; OpenTelemetry's other variables are obeyed too.

#[cfg(not(feature = "otel"))]
pub(crate) use without::{Traces, layer};

#[cfg(feature = "otel")]
pub(crate) use with::{Traces, layer};

/// The variables that say where traces go.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

fn is_asked_for() -> bool {
    ENDPOINTS.iter().any(|name| std::env::var_os(name).is_some())
}

#[cfg(not(feature = "otel"))]
mod without {
    use tracing_subscriber::layer::Identity;

    /// Nothing is sent by this build.
    pub(crate) struct Traces;

    impl Traces {
        /// There is nothing to send.
        pub(crate) async fn close(self) {}
    }

    /// Refuses to look away: whoever set a collector wants traces. There is no layer at all, because one that does nothing would still
    /// have every span and every line of every level made for it.
    pub(crate) fn layer() -> anyhow::Result<(Option<Identity>, Traces)> {
        anyhow::ensure!(
            !super::is_asked_for(),
            "{} is set, and this build sends no traces: build it with `--features otel`, or take the variable away",
            super::ENDPOINTS[0]
        );
        Ok((None, Traces))
    }
}

#[cfg(feature = "otel")]
mod with {
    use anyhow::Context;
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_otlp::SpanExporter;
    use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
    use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
    use opentelemetry_sdk::{Resource, runtime};
    use tracing_opentelemetry::OpenTelemetryLayer;
    use tracing_subscriber::filter::{Filtered, Targets};
    use tracing_subscriber::layer::Layer;
    use tracing_subscriber::registry::LookupSpan;

    /// Spans of these crates are sent, whatever is logged.
    const OURS: [&str; 3] = ["florin_channels", "florin_services", "florin"];

    /// What is still to be sent.
    pub(crate) struct Traces(Option<SdkTracerProvider>);

    impl Traces {
        /// Sends what is left, or gives up as OpenTelemetry's time limits say.
        pub(crate) async fn close(self) {
            let Some(provider) = self.0 else { return };
            let closed = tokio::task::spawn_blocking(move || provider.shutdown()).await;
            if let Ok(Err(error)) = closed {
                tracing::warn!(%error, "the last traces were not sent");
            }
        }
    }

    /// The layer that makes traces of spans; none if nobody named a collector.
    pub(crate) fn layer<S>() -> anyhow::Result<(Option<Filtered<OpenTelemetryLayer<S, SdkTracer>, Targets, S>>, Traces)>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        if !super::is_asked_for() {
            return Ok((None, Traces(None)));
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .build()
            .context("traces cannot be sent")?;
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter, runtime::Tokio).build())
            .with_resource(Resource::builder().with_service_name("florin").build())
            .build();
        let ours = Targets::new().with_targets(OURS.map(|name| (name, tracing::Level::DEBUG)));
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("florin"))
            .with_filter(ours);
        Ok((Some(layer), Traces(Some(provider))))
    }
}
