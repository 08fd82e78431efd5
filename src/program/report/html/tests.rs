//! The page, as text and in a browser.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::example::{self, HOSTILE};
use super::*;
use crate::call_log::RecordedCall;
use crate::events::Action;
use crate::metrics::reasons::Reason;
use crate::metrics::snapshot::ToxicSnapshot;
use crate::program::command::End;

fn text(report: &Report, recorded: &Recorded) -> String {
    let mut page = Vec::new();
    write(&mut page, report, recorded).unwrap();
    String::from_utf8(page).unwrap()
}

/// The page of a command that passed, with these calls.
fn page(recorded: &Recorded) -> String {
    text(&example::report(recorded), recorded)
}

#[test]
fn it_says_at_once_whether_it_passed() {
    let recorded = example::mixed(200, 5);
    let mut report = example::report(&recorded);
    let passed = text(&report, &recorded);
    assert!(passed.contains("<title>Passed: pytest -x – vaurien</title>"), "{passed}");
    assert!(passed.contains("The command succeeded."), "{passed}");
    assert!(passed.contains("--seed 42 -- pytest -x</code>"), "{passed}");
    for (end, exit_code, said) in [
        (End::Exited { code: 1 }, 1, "The command failed with exit code 1."),
        (End::Signalled { signal: 9 }, 137, "The command was ended by SIGKILL."),
        (End::TimedOut, 124, "The command timed out and was stopped."),
    ] {
        report.runs[0].end = end;
        report.exit_code = exit_code;
        let failed = text(&report, &recorded);
        assert!(failed.contains("<title>Failed: ") && failed.contains(said), "{failed}");
        assert!(failed.contains(&format!("<dt>Exit code</dt><dd>{exit_code}</dd>")), "{failed}");
    }
}

#[test]
fn an_expectation_that_is_unmet_is_said_first() {
    let recorded = example::mixed(200, 5);
    let page = text(&example::repeated(&recorded), &recorded);
    assert!(page.contains("The command succeeded. 1 of 2 expectations unmet. Run 7 of 20 failed."), "{page}");
    assert!(
        page.contains(r#"<code>cache.delay&gt;=1000</code></th><td class="number">3</td><td class="unmet">not met"#),
        "{page}"
    );
    assert!(page.contains("handler `hang` of cache took no call"), "{page}");
    assert_eq!(page.matches("<td class=\"number\">48</td>").count(), 1, "the last run has its seed");
}

#[test]
fn a_daemon_has_no_command() {
    let mut report = example::report(&Recorded::default());
    report.command = None;
    report.runs[0].end = End::Stopped;
    report.runs[0].expectations.clear();
    let page = text(&report, &Recorded::default());
    assert!(page.contains("<title>Stopped: vaurien</title>") && page.contains("It was stopped."), "{page}");
    report.runs.clear();
    assert!(text(&report, &Recorded::default()).contains("Nothing was run."));
}

#[test]
fn toxics_are_shown_with_what_they_did() {
    let recorded = example::mixed(20, 2);
    let mut report = example::report(&recorded);
    assert!(!text(&report, &recorded).contains("Toxics"));
    let toxic = |name: &str, toxic: Option<&str>, faults| ToxicSnapshot {
        name: name.to_owned(),
        toxic: toxic.map(str::to_owned),
        connections: 2000,
        faults,
    };
    report.runs[0].proxies[0].toxics =
        vec![toxic("slow", Some("slow=latency(latency=1s)"), 1999), toxic("<gone>", None, 0)];
    let page = text(&report, &recorded);
    let rows = [
        r#"<th scope="row">slow</th><td><code>slow=latency(latency=1s)</code></td>"#,
        "<td class=\"number\">2\u{202f}000</td><td class=\"number fault\">1\u{202f}999</td>",
        "<th scope=\"row\">&lt;gone&gt;</th><td>removed</td>",
        "the client waited longer",
    ];
    for row in rows {
        assert!(page.contains(row), "{row}: {page}");
    }
}

#[test]
fn handshakes_are_shown_if_some_failed() {
    let recorded = example::mixed(200, 5);
    let mut report = example::report(&recorded);
    assert!(!text(&report, &recorded).contains("Handshake failures"));
    let proxy = &mut report.runs[0].proxies[0];
    let reasons = [("it left".to_owned(), 3), ("it sent HTTP".to_owned(), 1)];
    (proxy.handshake_failures, proxy.handshake_reasons) = (4, reasons.map(Reason::from).into());
    let page = text(&report, &recorded);
    assert!(page.contains(r#">Handshake failures</th><th scope="col">Why no TLS</th>"#), "{page}");
    assert!(page.contains(r#"<td class="number fault">4</td><td>it left; it sent HTTP</td>"#), "{page}");
}

#[test]
fn calls_that_are_missing_are_told_of() {
    let mut recorded = Recorded::default();
    let report = example::report(&recorded);
    let page = text(&report, &recorded);
    assert!(page.contains("There were no calls.") && !page.contains("<canvas"), "{page}");
    recorded = example::mixed(20, 2);
    recorded.left_out = 1500;
    let page = text(&report, &recorded);
    assert!(
        page.contains("20 calls of the run. 1\u{202f}500 more were left out") && page.contains("<canvas"),
        "{page}"
    );
}

#[test]
fn hostile_texts_are_texts() {
    let (report, recorded) = example::hostile();
    let page = text(&report, &recorded);
    assert_eq!(page.matches("<img").count() + page.matches("<!--").count(), 0, "{page}");
    assert_eq!(page.matches("</script").count(), 2, "{page}");
    assert!(page.contains("&lt;/script&gt;&lt;img/src=x"), "{page}");
    // Attributes are quoted.
    let quoted = HOSTILE.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    assert!(page.contains(&format!("aria-label=\"{quoted}: 20 calls\"")), "{page}");
}

#[test]
fn control_characters_are_shown() {
    let controls = "\u{7}\u{1b}[31m\u{7f}\u{80}\u{9b}\u{0}";
    let recorded = Recorded {
        calls: vec![example::call("cache", 1, 1, "dummy", 0..1).head(&format!("GET a{controls}\t"))],
        left_out: 0,
    };
    let mut report = example::report(&recorded);
    report.command = Some(vec![format!("a{controls}")]);
    report.error = Some(format!("b{controls}"));
    report.runs[0].again = format!("c{controls}");
    report.runs[0].warnings = vec![format!("d{controls}")];
    let page = text(&report, &recorded);
    let left: String = page.chars().filter(|char| char.is_control() && *char != '\n').collect();
    assert_eq!(left.escape_unicode().to_string(), "");
    let shown = r"\u{7}\u{1b}[31m\u{7f}\u{80}\u{9b}\u{0}";
    for before in ["a", "b", "c", "d"] {
        assert!(page.contains(&format!("{before}{shown}")), "{before}: {page}");
    }
    // The script shows them, too.
    assert!(page.contains(&format!("GET a{}", shown.replace('\\', r"\\"))), "{page}");
}

/// CI servers may refuse the page's styles; a picture without a size is as wide as the page.
#[test]
fn pictures_have_a_size_without_styles() {
    let page = page(&example::mixed(200, 5));
    let pictures: Vec<_> = page.split("<svg").skip(1).map(|rest| rest.split_once('>').unwrap().0).collect();
    assert!(pictures.len() > 6, "{pictures:?}");
    for picture in pictures {
        for attribute in [" width=", " height=", " fill="] {
            assert!(picture.contains(attribute), "{picture}");
        }
    }
}

#[test]
fn it_says_what_the_time_of_a_turn_is() {
    let recorded = example::mixed(20, 2);
    let mut report = example::report(&recorded);
    let turn = "With tcp a call lasts until the backend’s last byte before the next call.";
    assert!(!text(&report, &recorded).contains(turn));
    report.runs[0].proxies[0].protocol = "tcp".to_owned();
    assert!(text(&report, &recorded).contains(turn));
}

#[test]
fn many_long_requests_are_no_large_page() {
    let key = "<".repeat(59);
    let calls = (0..100_000).map(|number| {
        example::call("cache", 1, number + 1, "dummy", number..number + 1).head(&format!("GET {key}{number:05}"))
    });
    let recorded = Recorded { calls: calls.collect(), left_out: 0 };
    let page = page(&recorded);
    assert!(page.len() < 10_000_000, "{} bytes", page.len());
    let told =
        "The page has room for 20\u{202f}000 different requests, those of faults first: 80\u{202f}000 calls are shown";
    assert!(page.contains(told));
}

#[test]
fn nothing_is_loaded() {
    let page = page(&example::mixed(20, 2));
    for what in [" src=", "url(", "@import", "import(", "fetch(", "http://", "https://", " onclick", "eval("] {
        assert!(!page.contains(what), "{what}");
    }
}

#[test]
fn a_hundred_thousand_calls_are_a_few_megabytes() {
    let page = page(&example::mixed(100_000, 200));
    assert!(page.len() < 6_000_000, "{} bytes", page.len());
}

/// What the page is once Chromium has drawn it, without a network, and the attributes of its root. Scripts that fail note it
/// there. To the page a script is added.
fn opened(arguments: &[&str], page: &str, script: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    fs::write(&path, page.replace("</body>", &format!("<script type=module>{script}</script></body>"))).unwrap();
    let mut chromium = Command::new("chromium");
    chromium.args(arguments);
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,1600"]);
    chromium.args(["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000", "--dump-dom"]);
    chromium.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    let output = chromium.arg(format!("file://{}", path.display())).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let dom = String::from_utf8(output.stdout).unwrap();
    let (_, root) = dom.split_once("<html").unwrap();
    let root = root.split_once('>').unwrap().0.to_owned();
    assert!(!root.contains("data-failed"), "{root}");
    (dom, root)
}

/// How many pixels of the canvas have the colour of each handler, and how many are no background.
const COUNT: &str = r"
    const canvas = document.getElementById('canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const words = new Uint32Array(data.buffer);
    const found = new Map();
    for (const word of words) found.set(word, (found.get(word) ?? 0) + 1);
    const colours = [...document.querySelectorAll('[data-handler]')].map((input) => {
        const [red, green, blue] = getComputedStyle(input.parentElement.querySelector('.swatch')).backgroundColor.match(/\d+/g);
        return `${input.dataset.handler}:${found.get((255 << 24 | blue << 16 | green << 8 | red) >>> 0) ?? 0}`;
    });
    document.documentElement.dataset.colours = colours;
    document.documentElement.dataset.others = found.size;
";

/// The numbers behind each handler in `data-colours`.
fn pixels(root: &str) -> Vec<u64> {
    let (_, colours) = root.split_once("data-colours=\"").unwrap();
    let colours = colours.split_once('"').unwrap().0;
    colours.split(',').map(|colour| colour.split_once(':').unwrap().1.parse().unwrap()).collect()
}

#[test]
#[ignore = "needs chromium"]
fn a_hundred_thousand_calls_are_drawn() {
    let (_, root) = opened(&[], &page(&example::mixed(100_000, 200)), COUNT);
    assert!(root.contains(r#"data-drawn="100000""#), "{root}");
    let pixels = pixels(&root);
    assert_eq!(pixels.len(), 7, "{root}");
    assert!(pixels.iter().all(|&pixels| pixels > 100), "{root}");
}

#[test]
#[ignore = "needs chromium"]
fn hostile_texts_are_drawn_and_not_run() {
    let (report, recorded) = example::hostile();
    let press = "document.getElementById('plot').dispatchEvent(new KeyboardEvent('keydown', { key: 'f' }));";
    let (dom, root) = opened(&[], &text(&report, &recorded), press);
    assert!(root.contains(r#"data-drawn="20""#), "{root}");
    assert!(!dom.contains("<img"), "{dom}");
}

#[test]
#[ignore = "needs chromium"]
fn keys_and_filters_lead_to_faults() {
    let next = Some(Duration::from_millis(2));
    let calls = [
        example::call("cache", 1, 1, "dummy", 0..1_000),
        RecordedCall { next, ..example::call("cache", 2, 1, "delay", 500..1_700).fault(Action::Sleep).head("GET a") },
        example::call("cache", 2, 2, "dummy", 2_000..2_100),
        example::call("web", 7, 3, "hang", 2_000..1_252_000).fault(Action::Hold).no_reply(),
    ];
    let recorded = Recorded { calls: calls.into(), left_out: 0 };
    let (_, root) = opened(&[], &page(&recorded), STEPS);
    let sleep = "cache, connection 2, call 1|delay: sleep|GET a|0.000500 s|1.2 ms|a reply|300 µs|–";
    let hold = "web, connection 7, call 3|hang: hold|–|0.002000 s|1.25 s|no reply|–|–";
    let none = "–|–|–|–|–|–|–|–";
    assert!(root.contains(&format!(r#"data-told="{sleep};{hold};{sleep};{hold};{none}""#)), "{root}");
    // With headings of two proxies: three connections, then the two with faults, then the one of `web`.
    assert!(root.contains(r#"data-rows="114,96,60""#), "{root}");
}

/// Presses keys and ticks boxes, and puts down what is told of calls, and how high all rows are.
const STEPS: &str = r"
    const told = [], rows = [];
    const find = (id) => document.getElementById(id);
    const press = (key) => find('plot').dispatchEvent(new KeyboardEvent('keydown', { key }));
    const change = (input) => input.dispatchEvent(new Event('change', { bubbles: true }));
    const tell = () => told.push([...document.querySelectorAll('.details dd')].map((one) => one.textContent).join('|'));
    const measure = () => rows.push(parseFloat(find('rows').style.height));
    for (const key of ['f', 'f', 'f']) { press(key); tell(); }
    measure();
    find('faults-only').click();
    measure();
    press('ArrowDown');
    tell();
    find('proxy').value = '1';
    change(find('proxy'));
    measure();
    for (const input of document.querySelectorAll('[data-handler]')) input.click();
    tell();
    document.documentElement.dataset.told = told.join(';');
    document.documentElement.dataset.rows = rows;
";

#[test]
#[ignore = "needs chromium"]
fn a_drag_ends_at_the_edge_or_with_escape() {
    let calls = [0, 300_000, 800_000].map(|begun| example::call("cache", 1, begun, "dummy", begun..begun + 90_000));
    let recorded = Recorded { calls: calls.into(), left_out: 0 };
    let (_, root) = opened(&[], &page(&recorded), DRAGS);
    assert!(root.contains(r#"data-told="0.800000 s,0.000000 s""#), "{root}");
}

/// Drags, and puts down when the first call began that is seen then.
const DRAGS: &str = r"
    const told = [];
    const find = (id) => document.getElementById(id);
    const press = (key) => find('plot').dispatchEvent(new KeyboardEvent('keydown', { key }));
    const { left, top, width } = find('canvas').getBoundingClientRect();
    // There is no pointer that could be captured.
    find('canvas').setPointerCapture = () => {};
    const point = (type, part) => find('canvas').dispatchEvent(
        new PointerEvent(type, { clientX: left + width * part, clientY: top + 33, button: 0 }));
    const tell = () => { press('ArrowRight'); told.push(find('detail-begun').textContent); };
    point('pointerdown', 0.6);
    point('pointermove', 3);
    point('pointerup', 3);
    tell();
    press('0');
    point('pointerdown', 0.6);
    point('pointermove', 0.9);
    press('Escape');
    point('pointerup', 0.9);
    tell();
    document.documentElement.dataset.told = told;
";

#[test]
#[ignore = "needs chromium"]
fn it_is_printed_light_from_a_dark_system() {
    let page = page(&example::mixed(2_000, 200));
    let root = |scheme: String| opened(&[&scheme], &page, PRINTS).1;
    let [dark, light] = [0, 1].map(|scheme| root(format!("--blink-settings=preferredColorScheme={scheme}")));
    assert!(dark.contains(r#"data-told="20,23,26 hidden;255,255,255 told;20,23,26 hidden""#), "{dark}");
    assert!(light.contains(r#"data-told="255,255,255 hidden;255,255,255 told;255,255,255 hidden""#), "{light}");
}

/// Puts down the canvas's ground, and whether missing rows are told of, before, in and after print.
const PRINTS: &str = r"
    const told = [];
    const canvas = document.getElementById('canvas');
    const tell = () => {
        const [red, green, blue] = canvas.getContext('2d').getImageData(2, 50, 1, 1).data;
        told.push(`${[red, green, blue]} ${document.getElementById('cut').hidden ? 'hidden' : 'told'}`);
    };
    tell();
    for (const event of ['beforeprint', 'afterprint']) {
        dispatchEvent(new Event(event));
        tell();
    }
    document.documentElement.dataset.told = told.join(';');
";

#[test]
#[ignore = "needs chromium"]
fn a_page_without_calls_is_drawn() {
    let (_, root) = opened(&[], &page(&Recorded::default()), "");
    assert!(root.contains(r#"data-drawn="0""#), "{root}");
}
