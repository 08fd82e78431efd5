//! Profiles: the toxics of a network, by its name.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Toxic;

/// A network. Its times are half of a round trip in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    /// Mobile, second generation: 420 ms a round trip, 240 kbit/s down, 200 kbit/s up
    Edge,
    /// Mobile, third generation: 100 ms, 1.6 Mbit/s down, 768 kbit/s up, 0.5 % of the segments lost
    #[serde(rename = "3g")]
    ThirdGeneration,
    /// Mobile, fourth generation: 50 ms, 20 Mbit/s down, 8 Mbit/s up
    Lte,
    /// A telephone line: 30 ms, 16 Mbit/s down, 1 Mbit/s up
    Dsl,
    /// A busy wireless network: 10 ms, 40 Mbit/s in either direction, 0.1 % of the segments lost
    Wifi,
    /// A geostationary satellite: 600 ms, 15 Mbit/s down, 3 Mbit/s up
    Satellite,
}

impl Profile {
    /// The toxics that it stands for, as they are written.
    pub(crate) const fn texts(self) -> &'static [&'static str] {
        match self {
            Self::Edge => &[
                "upstream:latency(latency=210ms,jitter=40ms)",
                "upstream:bandwidth(rate=25KB/s)",
                "latency(latency=210ms,jitter=40ms)",
                "bandwidth(rate=30KB/s)",
            ],
            Self::ThirdGeneration => &[
                "upstream:latency(latency=50ms,jitter=10ms)",
                "upstream:bandwidth(rate=96KB/s)",
                "latency(latency=50ms,jitter=10ms)",
                "bandwidth(rate=200KB/s)",
                "loss(rate=0.005)",
            ],
            Self::Lte => &[
                "upstream:latency(latency=25ms,jitter=5ms)",
                "upstream:bandwidth(rate=1MB/s)",
                "latency(latency=25ms,jitter=5ms)",
                "bandwidth(rate=2500KB/s)",
            ],
            Self::Dsl => &[
                "upstream:latency(latency=15ms,jitter=2ms)",
                "upstream:bandwidth(rate=125KB/s)",
                "latency(latency=15ms,jitter=2ms)",
                "bandwidth(rate=2MB/s)",
            ],
            Self::Wifi => &[
                "upstream:latency(latency=5ms,jitter=3ms)",
                "upstream:bandwidth(rate=5MB/s)",
                "latency(latency=5ms,jitter=3ms)",
                "bandwidth(rate=5MB/s)",
                "loss(rate=0.001)",
            ],
            Self::Satellite => &[
                "upstream:latency(latency=300ms,jitter=10ms)",
                "upstream:bandwidth(rate=375KB/s)",
                "latency(latency=300ms,jitter=10ms)",
                "bandwidth(rate=1875KB/s)",
            ],
        }
    }

    pub(crate) fn toxics(self) -> Vec<Toxic> {
        self.texts().iter().filter_map(|text| text.parse().ok()).collect()
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_written_as_it_is_read() {
        for profile in ["edge", "3g", "lte", "dsl", "wifi", "satellite"] {
            let read: Profile = serde_json::from_value(profile.into()).unwrap();
            let written: Vec<_> = read.toxics().iter().map(ToString::to_string).collect();
            assert_eq!(written, read.texts(), "{profile}");
            assert_eq!(read.to_string(), profile);
        }
    }
}
