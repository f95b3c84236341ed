//! Spans of time as people read them.

/// Seconds as `3d 4h`, `2h 5m`, `4m 10s` or `9s`: the two largest units say enough.
#[must_use]
pub fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_show_two_units() {
        for (seconds, text) in [(9, "9s"), (250, "4m 10s"), (7_500, "2h 5m"), (273_600, "3d 4h")] {
            assert_eq!(span(seconds), text);
        }
    }
}
