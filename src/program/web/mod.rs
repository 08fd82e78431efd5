//! The live page of the API, and what it shares with the report: colours, style and the marks of faults.
//!
//! The page is one document. Its script and its style run by a nonce, which the policy that is sent with it names; nothing else can
//! run, and it can talk to the API alone. It has no secrets.

mod palette;

pub(crate) use palette::colour;

/// The style that the report has as well.
pub(crate) const BASE: &str = include_str!("base.css");

/// The marks of faults, which the report has as well.
pub(crate) const MARKS: &str = include_str!("marks.js");

const PAGE: &str = include_str!("page.html");

/// In the order of their dependencies; the last one starts.
const SCRIPTS: [&str; 8] = [
    include_str!("dom.js"),
    include_str!("palette.js"),
    MARKS,
    include_str!("api.js"),
    include_str!("model.js"),
    include_str!("timeline.js"),
    include_str!("steer.js"),
    include_str!("page.js"),
];

/// The page. Its `nonce` is random, and different in each response.
pub(crate) fn page(nonce: &str) -> String {
    let style = [BASE, include_str!("page.css")].concat();
    PAGE.replace("{{nonce}}", nonce)
        .replace("{{colours}}", &palette::fixed())
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{style}}", &style)
        .replace("{{script}}", &SCRIPTS.concat())
}

/// What a browser may do with the page of this nonce.
pub(crate) fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_complete_and_ends_its_script_once() {
        let page = page("abc");
        assert!(!page.contains("{{"), "a placeholder is left");
        assert_eq!((page.matches("</script>").count(), page.matches("</style>").count()), (1, 1));
        for inline in [" style=\"", " onclick=", "innerHTML", "javascript:", "eval("] {
            assert!(!page.contains(inline), "{inline}");
        }
    }
}
