//! Metrics, each declared once: where the program keeps it, its name, its labels and what it tells. From that it is registered,
//! and the documentation is checked.

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

use crate::telemetry::histogram::Histogram;

/// A metric as it is scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricDeclaration {
    /// Its name, with `portcullis_` before it, and `_total` behind it where it counts.
    pub name: String,
    /// The names of its labels.
    pub labels: Vec<&'static str>,
}

impl MetricDeclaration {
    /// One that is registered under a name, with no prefix.
    #[must_use]
    pub fn new<M: MetricKind>(name: &str) -> Self {
        let labels = M::LABELS.iter().map(|label| label.strip_prefix("r#").unwrap_or(label)).collect();
        Self { name: format!("portcullis_{name}{}", M::SUFFIX), labels }
    }
}

/// What the type of a metric tells of it.
pub trait MetricKind {
    /// What the text form puts behind its name.
    const SUFFIX: &'static str;
    /// The names of its labels.
    const LABELS: &'static [&'static str];
}

/// Labels that know their names.
pub trait LabelNames {
    /// They, in order.
    const NAMES: &'static [&'static str];
}

impl MetricKind for Counter {
    const SUFFIX: &'static str = "_total";
    const LABELS: &'static [&'static str] = &[];
}

impl MetricKind for Gauge {
    const SUFFIX: &'static str = "";
    const LABELS: &'static [&'static str] = &[];
}

impl MetricKind for Histogram {
    const SUFFIX: &'static str = "";
    const LABELS: &'static [&'static str] = &[];
}

impl<L: LabelNames, M: MetricKind, C> MetricKind for Family<L, M, C> {
    const SUFFIX: &'static str = M::SUFFIX;
    const LABELS: &'static [&'static str] = L::NAMES;
}

/// Declares the labels of a metric: a type with a field for each.
#[macro_export]
macro_rules! metric_labels {
    ($(
        $(#[$meta:meta])*
        $vis:vis struct $name:ident { $($(#[$doc:meta])* $field:ident: $kind:ty),* $(,)? }
    )*) => {$(
        $(#[$meta])*
        #[derive(
            Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::prometheus_client::encoding::EncodeLabelSet,
        )]
        $vis struct $name { $($(#[$doc])* $vis $field: $kind),* }

        impl $crate::telemetry::LabelNames for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];
        }
    )*};
}

/// Declares metrics: a type with a field for each, `name: Type = "name_of_the_series", "what it tells";`, with a former name of the
/// series behind `|` for the release after the change, and with what makes it
/// behind that where that is not its default. The name has neither prefix nor `_total`. What else the type holds stands behind
/// `with`, and begins as its default.
#[macro_export]
macro_rules! metrics {
    (@new) => { ::std::default::Default::default() };
    (@new $new:expr) => { $new };
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $($(#[$doc:meta])* $field_vis:vis $field:ident: $kind:ty = $series:literal $(| $former:literal)?, $help:literal $(, $new:expr)?;)*
        }
        $(with { $($(#[$other_doc:meta])* $other_vis:vis $other:ident: $other_kind:ty),* $(,)? })?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        $vis struct $name {
            $($(#[$doc])* $field_vis $field: $kind,)*
            $($($(#[$other_doc])* $other_vis $other: $other_kind,)*)?
        }

        impl ::std::default::Default for $name {
            fn default() -> Self {
                Self {
                    $($field: $crate::metrics!(@new $($new)?),)*
                    $($($other: ::std::default::Default::default(),)*)?
                }
            }
        }

        impl $name {
            /// Registers each.
            fn register_series(&self, registry: &mut ::prometheus_client::registry::Registry) {
                $(
                    registry.register($series, $help, self.$field.clone());
                    $(
                        let help = ::core::concat!("The former name of ", $series, ", for this release");
                        registry.register($former, help, self.$field.clone());
                    )?
                )*
            }

            /// Each as it is scraped.
            fn series() -> ::std::vec::Vec<$crate::telemetry::MetricDeclaration> {
                ::std::vec![$(
                    $crate::telemetry::MetricDeclaration::new::<$kind>($series),
                    $($crate::telemetry::MetricDeclaration::new::<$kind>($former),)?
                )*]
            }
        }
    };
}
