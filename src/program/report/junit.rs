//! The report as JUnit XML, for CI servers.

use std::io::{self, Write};

use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite, XmlString};

use super::labels::{self, Figures, LabelName};
use super::table::RunTable;
use super::text::counted;
use super::{End, Expected, Report, Run};

/// The name of the report, its suites and its classes.
const NAME: &str = "vaurien";

/// The class of the labels' test cases.
const LABELS: &str = "vaurien.labels";

/// One suite for each run, with a test case for the command and one for each expectation.
pub(super) fn write(mut out: impl Write, report: &Report) -> io::Result<()> {
    let mut junit = quick_junit::Report::new(NAME);
    junit.set_time(report.runs.iter().map(|run| run.took).sum());
    junit.add_test_suites(report.runs.iter().map(|run| suite(report, run)));
    junit.add_test_suites((!report.totals.is_empty()).then(|| totals(report)));
    junit.add_test_suites(report.error.iter().map(|error| broken(error)));
    out.write_all(junit.to_string().map_err(io::Error::other)?.as_bytes())
}

fn suite(report: &Report, run: &Run) -> TestSuite {
    let name = if report.repeat > 1 { format!("{NAME} seed {}", run.seed) } else { NAME.to_owned() };
    let mut suite = TestSuite::new(name);
    suite.set_time(run.took);
    // Through text: its type is in a crate that is not needed otherwise.
    suite.timestamp = humantime::format_rfc3339_millis(run.begun).to_string().parse().ok();
    suite.add_property(Property::new("seed", run.seed.to_string()));
    suite.add_property(Property::new("again", clean(&run.again)));
    // Some servers refuse a suite without test cases, so a daemon is one too.
    let name = report.command_line().unwrap_or_else(|| NAME.to_owned());
    let mut command = case(&name, failure_of(run.end));
    command.set_time(run.took);
    suite.add_test_case(command);
    suite.add_test_cases(run.expectations.iter().map(expectation));
    suite.add_test_cases(run.labels.rows().map(|(name, figures)| label(name, figures, run.proxies.len() > 1)));
    suite.set_system_out(clean(&RunTable(run, run.exit_code()).to_string()));
    suite
}

/// What is expected of all runs together.
fn totals(report: &Report) -> TestSuite {
    let mut suite = TestSuite::new(format!("{NAME} over all runs"));
    suite.add_test_cases(report.totals.iter().map(expectation));
    suite
}

fn expectation(expected: &Expected) -> TestCase {
    case(&expected.expectation, (!expected.met).then(|| failure("expectation", &expected.failure())))
}

/// What the calls of a label met. It tells, and never fails.
fn label(name: LabelName<'_>, figures: &Figures, is_qualified: bool) -> TestCase {
    let mut case = match name {
        LabelName::Label(label) => case(label, None),
        LabelName::Others => case(&labels::others(), None),
        LabelName::None => case("without a label", None),
    };
    case.set_classname(LABELS);
    let faults = figures.faults_by_name().map(|(proxy, name, faults)| {
        let proxy = if is_qualified { format!("{proxy}.") } else { String::new() };
        format!("{proxy}{name} {faults}")
    });
    let faults: Vec<_> = faults.collect();
    let by_handler = if faults.is_empty() { String::new() } else { format!(": {}", faults.join(", ")) };
    case.set_system_out(clean(&format!(
        "{}, {}{by_handler}",
        counted(figures.calls, "call"),
        counted(figures.faults, "fault")
    )));
    case
}

/// A failure of the program itself.
fn broken(error: &str) -> TestSuite {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type(NAME).set_message(clean(error)).set_description(clean(error));
    let mut suite = TestSuite::new(NAME);
    suite.add_test_case(case(NAME, Some(status)));
    suite
}

fn case(name: &str, failure: Option<TestCaseStatus>) -> TestCase {
    let mut case = TestCase::new(clean(name), failure.unwrap_or_else(TestCaseStatus::success));
    case.set_classname(NAME);
    case
}

/// The failure of the command, if it failed.
fn failure_of(end: End) -> Option<TestCaseStatus> {
    let kind = match end {
        End::Stopped | End::Exited { code: 0 } => return None,
        End::Exited { .. } => "exit code",
        End::Signalled { .. } => "signal",
        End::TimedOut => "timeout",
    };
    Some(failure(kind, &end.to_string()))
}

fn failure(kind: &str, message: &str) -> TestCaseStatus {
    let mut failure = TestCaseStatus::non_success(NonSuccessKind::Failure);
    // Some servers show the message, others the description.
    failure.set_type(kind).set_message(clean(message)).set_description(clean(message));
    failure
}

/// Text that XML allows. [`XmlString`] does not remove all forbidden characters.
fn clean(text: &str) -> XmlString {
    XmlString::new(text.replace(['\u{fffe}', '\u{ffff}'], ""))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::program::report::example;

    fn xml(report: &Report) -> String {
        let mut out = Vec::new();
        write(&mut out, report).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// As a reader of JUnit files parses it.
    fn read(report: &Report) -> quick_junit::Report {
        quick_junit::Report::deserialize_from_str(&xml(report)).unwrap()
    }

    fn message(case: &TestCase) -> Option<&str> {
        match &case.status {
            TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, message, .. } => message.as_deref(),
            _ => None,
        }
    }

    #[test]
    fn a_run_is_a_suite_with_the_command_and_each_expectation() {
        let report = read(&example::report());
        assert_eq!((report.tests, report.failures, report.errors), (3, 1, 0));
        let [suite] = report.test_suites.as_slice() else { panic!("{report:?}") };
        assert_eq!((suite.name.as_str(), suite.tests, suite.failures), ("vaurien", 3, 1));
        assert_eq!(suite.time, Some(Duration::from_millis(21_400)));
        assert_eq!(suite.timestamp.unwrap().to_rfc3339(), "2023-11-14T22:13:20.250+00:00");
        let properties = suite.properties.iter().map(|property| (property.name.as_str(), property.value.as_str()));
        assert!(properties.eq([("seed", "42"), ("again", &example::again(42))]));
        let table = RunTable(&example::report().runs[0], 3).to_string();
        assert_eq!(suite.system_out.as_deref(), Some(table.trim_end()));
        let cases = suite.test_cases.iter().map(|case| (case.name.as_str(), message(case)));
        let unmet = Some("expected cache.delay>=10, counted 3");
        assert!(cases.eq([("pytest -x", None), ("error>=1", None), ("cache.delay>=10", unmet)]));
        assert!(suite.test_cases.iter().all(|case| case.classname.as_deref() == Some("vaurien")));
    }

    #[test]
    fn several_runs_are_several_suites() {
        let mut report = example::passed(3, 20);
        report.runs[2].end = End::TimedOut;
        let report = read(&report);
        let suites = report.test_suites.iter().map(|suite| (suite.name.as_str(), suite.failures));
        assert!(suites.eq([("vaurien seed 42", 0), ("vaurien seed 43", 0), ("vaurien seed 44", 1)]));
        assert_eq!(report.time, Some(Duration::from_millis(3 * 21_400)));
    }

    #[test]
    fn a_failure_says_how_the_command_ended() {
        for (end, expected) in [
            (End::Stopped, None),
            (End::Exited { code: 0 }, None),
            (End::Exited { code: 1 }, Some("exit code 1")),
            (End::Signalled { signal: 11 }, Some("ended by SIGSEGV")),
            (End::TimedOut, Some("timed out")),
        ] {
            let mut report = example::passed(1, 1);
            report.runs[0].end = end;
            assert_eq!(message(&read(&report).test_suites[0].test_cases[0]), expected);
        }
    }

    #[test]
    fn a_daemon_is_a_test_case_too() {
        let mut report = example::passed(1, 1);
        (report.command, report.runs[0].end) = (None, End::Stopped);
        let report = read(&report);
        assert_eq!((report.tests, report.failures), (1, 0));
        assert_eq!(report.test_suites[0].test_cases[0].name.as_str(), "vaurien");
    }

    /// With everything that a command line can contain.
    fn hostile() -> Report {
        let mut report = example::report();
        let every: String = (1..=0x2ff).chain(0xfff0..=0x1_0001).filter_map(char::from_u32).collect();
        report.command = Some(vec!["echo".to_owned(), format!("</testcase>]]>&amp;<!-- \"' {every}")]);
        let again = report.command_line().unwrap();
        let run = &mut report.runs[0];
        run.again = again;
        run.warnings = vec![every];
        run.expectations[1].expectation.push_str("<\u{1}>");
        report
    }

    #[test]
    fn what_xml_forbids_is_left_out() {
        let xml = xml(&hostile());
        let forbidden =
            |char: char| (char < ' ' && !"\t\n\r".contains(char)) || ('\u{fffe}'..='\u{ffff}').contains(&char);
        assert_eq!(xml.chars().find(|char| forbidden(*char)), None);
        let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
        let suite = &report.test_suites[0];
        assert!(suite.test_cases[0].name.starts_with("echo '</testcase>]]>&amp;<!-- \""), "{report:?}");
        assert_eq!(message(&suite.test_cases[2]), Some("expected cache.delay>=10<>, counted 3"));
    }

    #[test]
    #[ignore = "needs python3"]
    fn a_strict_reader_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        for (name, report) in [("plain", example::report()), ("many", example::passed(20, 20)), ("hostile", hostile())]
        {
            let path: PathBuf = folder.path().join(name);
            std::fs::write(&path, xml(&report)).unwrap();
            let script = "import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
print(root.tag, len(root), len(root.findall('testsuite/testcase')), len(root.findall('testsuite/testcase/failure')))";
            let output = Command::new("python3").args(["-c", script]).arg(&path).output().unwrap();
            let cases = report.runs.len() * (1 + report.runs[0].expectations.len());
            let failures = report.runs[0].expectations.len() / 2;
            let expected = format!("testsuites {} {cases} {failures}\n", report.runs.len());
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{name}: {output:?}");
        }
    }
}
