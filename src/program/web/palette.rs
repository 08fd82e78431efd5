//! Colours of handlers: the same fault has the same colour in every report and on the live page.

/// The number of colours that names of users have. The style has a class for each, `c1` to `c12`; `c0` is grey, and those behind
/// them are handlers'.
const COLOURS: u32 = 12;

/// The colours of what vaurien brings along. A toxic has that of the handler which does the same to a call.
const FIXED: [(&str, u32); 23] = [
    ("dummy", 0),
    ("noop", 0),
    ("delay", 1),
    ("latency", 1),
    ("error", 2),
    ("transient", 3),
    ("reply", 4),
    ("miss", 5),
    ("blackout", 6),
    ("slow_close", 6),
    ("reset", 7),
    ("reset_peer", 7),
    ("hang", 8),
    ("timeout", 8),
    ("abort", 9),
    ("cut", 10),
    ("limit_data", 10),
    ("slow", 11),
    ("bandwidth", 11),
    ("corrupt", 12),
    ("slicer", 5),
    ("tls", 13),
    ("goaway", 14),
];

/// The class of the colour of a handler, which may be named with its rule (`pay.error`). That of a sequence is its last step's.
pub(crate) fn colour(label: &str) -> String {
    let name = label.rsplit(['.', '+']).next().unwrap_or(label);
    let fixed = FIXED.iter().find_map(|(known, colour)| (*known == name).then_some(*colour));
    format!("c{}", fixed.unwrap_or_else(|| by_name(name)))
}

/// The colour of a user's own name. `palette.js` computes the same.
fn by_name(name: &str) -> u32 {
    name.bytes().fold(0, |sum, byte| (sum * 31 + u32::from(byte)) % 65_521) % COLOURS + 1
}

/// The fixed colours for the page's script: `dummy=0 delay=1 …`.
pub(super) fn fixed() -> String {
    FIXED.map(|(name, colour)| format!("{name}={colour}")).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::Registry;

    #[test]
    fn the_same_fault_always_has_the_same_colour() {
        for label in ["hang", "pay.hang", "delay+hang", "a.b.hang"] {
            assert_eq!(colour(label), "c8", "{label}");
        }
        assert_eq!((&*colour("dummy"), &*colour("pay.dummy")), ("c0", "c0"));
        // A test of the page has the same.
        assert_eq!((&*colour("slowpoke"), &*colour("rule-1.slowpoke")), ("c1", "c1"));
    }

    #[test]
    fn every_handler_has_a_colour_of_its_own() {
        let mut colours: Vec<_> = Registry::default().names().map(colour).collect();
        let count = colours.len();
        colours.sort();
        colours.dedup();
        assert_eq!(colours.len(), count);
        let style = crate::program::web::BASE;
        assert!(colours.iter().all(|colour| style.contains(&format!(".{colour} {{"))), "{colours:?}");
    }

    #[test]
    fn an_own_name_has_one_of_the_colours() {
        for name in ["", "x", "a-long-name-of-a-handler", "ü"] {
            assert!((1..=COLOURS).contains(&by_name(name)), "{name}");
        }
    }
}
