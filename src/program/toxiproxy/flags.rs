//! Flags as Go's programs take them: with one dash or two, `-x value` or `-x=value`.

/// A flag.
#[derive(Debug)]
pub(super) struct Flag {
    /// All names, the one that counts first.
    pub(super) names: &'static [&'static str],
    /// Whether it takes a value. Without one it means true, and `-x=false` the opposite.
    pub(super) takes_value: bool,
}

/// A flag that takes a value.
pub(super) const fn taking(names: &'static [&'static str]) -> Flag {
    Flag { names, takes_value: true }
}

/// A flag that is given or not.
pub(super) const fn switch(names: &'static [&'static str]) -> Flag {
    Flag { names, takes_value: false }
}

/// What was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    flags: Vec<(&'static str, String)>,
    /// The words that are no flags.
    pub(super) words: Vec<String>,
}

impl Given {
    /// Reads `arguments`, in which flags may stand among other words.
    pub(super) fn read(arguments: &[String], known: &[Flag]) -> Result<Self, String> {
        let mut given = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let Some(rest) = argument.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                given.words.push(argument.clone());
                continue;
            };
            if rest == "-" {
                given.words.extend(arguments.cloned());
                break;
            }
            let rest = rest.strip_prefix('-').unwrap_or(rest);
            let (name, value) = rest.split_once('=').map_or((rest, None), |(name, value)| (name, Some(value)));
            let flag = known.iter().find(|flag| flag.names.contains(&name));
            let flag = flag.ok_or_else(|| format!("flag provided but not defined: -{name}"))?;
            let value = match value {
                Some(value) => value.to_owned(),
                None if !flag.takes_value => "true".to_owned(),
                None => arguments.next().ok_or_else(|| format!("flag needs an argument: -{name}"))?.clone(),
            };
            given.flags.push((flag.names[0], value));
        }
        Ok(given)
    }

    /// The last value of a flag.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).last()
    }

    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.flags.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on.
    pub(super) fn has(&self, name: &str) -> Result<bool, String> {
        match self.value(name) {
            None | Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(false),
            Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(true),
            Some(other) => Err(format!("invalid boolean value \"{other}\" for -{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Flag] = &[taking(&["host", "H"]), switch(&["version"])];

    fn read(line: &str) -> Result<Given, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Given::read(&words, KNOWN)
    }

    #[test]
    fn one_dash_or_two_and_a_value_in_either_place() {
        for line in
            ["-host a -version b", "--host=a b --version", "-H a b -version=true", "--version=1 b -host=x -host a"]
        {
            let given = read(line).unwrap();
            assert_eq!((given.value("host"), given.has("version")), (Some("a"), Ok(true)), "{line}");
            assert_eq!(given.words, ["b"]);
        }
        assert_eq!(read("-version=false").unwrap().has("version"), Ok(false));
        assert_eq!(read("-- -host").unwrap().words, ["-host"]);
    }

    #[test]
    fn mistakes_have_the_words_of_go() {
        assert_eq!(read("-x"), Err("flag provided but not defined: -x".to_owned()));
        assert_eq!(read("-host"), Err("flag needs an argument: -host".to_owned()));
        let wrong = "invalid boolean value \"yes\" for -version".to_owned();
        assert_eq!(read("--version=yes").unwrap().has("version"), Err(wrong));
    }
}
