//! Declares limits of protocols: each once, with its key in the settings file, its bounds and its meaning.

/// A type that the value of a limit can have.
pub(crate) trait Limit {
    /// From the settings' number.
    fn of(value: u64) -> Self;
}

impl Limit for usize {
    fn of(value: u64) -> Self {
        Self::try_from(value).unwrap_or(Self::MAX)
    }
}

impl Limit for u32 {
    fn of(value: u64) -> Self {
        Self::try_from(value).unwrap_or(Self::MAX)
    }
}

impl Limit for bool {
    fn of(value: u64) -> Self {
        value != 0
    }
}

/// Declares the limits of a protocol: for each the field's name and type, its key below `limits` in the settings file, the
/// unit (or the words), the default, the bounds, and what it limits, as `docs/operations.md` has it.
macro_rules! limits {
    (
        $(#[doc = $about:literal])+
        $Name:ident $(, with $(#[doc = $inner:literal])+ $sub:ident: $Sub:ty)? {
            $(
                $(#[doc = $more:literal])*
                $field:ident: $type:ty = $key:literal, $Unit:ident $(($of:expr))?, $default:expr, $least:expr, $most:expr,
                $meaning:literal;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $Name {
            $(
                #[doc = concat!("`", $key, "`: ", $meaning, ".")]
                $(#[doc = $more])*
                pub $field: $type,
            )+
            $(
                $(#[doc = $inner])+
                pub $sub: $Sub,
            )?
        }

        impl $Name {
            /// What the settings file may say of them.
            pub const SPECS: &'static [portcullis_rules::limits::LimitSpec] = &[
                $($crate::limits::limits!(@spec $key, $Unit $(($of))?, $default, $least, $most, $meaning)),+
            ];

            /// Those that are in force.
            #[must_use]
            pub fn of(values: &portcullis_rules::limits::LimitValues) -> Self {
                Self {
                    $(
                        $field: <$type as $crate::limits::Limit>::of(values.of(
                            const { &$crate::limits::limits!(@spec $key, $Unit $(($of))?, $default, $least, $most, $meaning) },
                        )),
                    )+
                    $($sub: <$Sub>::of(values),)?
                }
            }
        }

        impl Default for $Name {
            fn default() -> Self {
                Self::of(&portcullis_rules::limits::LimitValues::default())
            }
        }
    };
    (@spec $key:literal, $Unit:ident $(($of:expr))?, $default:expr, $least:expr, $most:expr, $meaning:literal) => {
        portcullis_rules::limits::LimitSpec {
            key: $key,
            unit: portcullis_rules::limits::Unit::$Unit $(($of))?,
            default: $default,
            least: $least,
            most: $most,
            meaning: $meaning,
        }
    };
}

pub(crate) use limits;
