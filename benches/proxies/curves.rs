//! How figures of vaurien grow with connections, pipelines and sizes.

use std::time::Duration;

use crate::cases::{Case, HTTP, REDIS};
use crate::contenders::{Contender, connections};
use crate::figures::{self, Figure, number, ranged};
use crate::load::Load;
use crate::measure::{measure, order};
use crate::message::Talk;
use crate::options::Options;
use crate::table::Table;

pub(crate) const NAMES: [&str; 5] = [
    "curve of connections",
    "curve of calls in a pipeline",
    "curve of message sizes",
    "curve of rules for redis",
    "curve of rules for http",
];

/// Processor time is counted in hundredths of a second: with this window, one more or less does not matter.
const WINDOW: Duration = Duration::from_secs(2);

pub(crate) fn draw(options: &Options) -> anyhow::Result<()> {
    for (name, points) in
        NAMES.into_iter().zip([by_connections(), by_pipeline(), by_size(), by_redis_rules(), by_http_rules()])
    {
        if options.wants(name) {
            curve(name, &points, options)?;
        }
    }
    Ok(())
}

fn curve(name: &str, points: &[Case], options: &Options) -> anyhow::Result<()> {
    let figures = points.first().map_or(&[][..], |point| point.figures);
    // By point, by figure, in the order of the rounds.
    let mut values = vec![vec![Vec::new(); figures.len()]; points.len()];
    for round in 0..options.rounds {
        for at in order(round, points.len()) {
            let sample = measure(&Contender::Vaurien, &points[at], options.window().max(WINDOW))?;
            for (values, figure) in values[at].iter_mut().zip(figures) {
                values.extend(figure.of(&sample));
            }
        }
    }
    println!("\nThe {name}: vaurien's medians and ranges, rounds: {}.\n", options.rounds);
    let mut columns = vec![("", 18)];
    columns.extend(figures.iter().map(|figure| (figure.label, 31)));
    let table = Table::begin(&columns, 1);
    for (point, values) in points.iter().zip(&values) {
        let mut cells = vec![point.name.clone()];
        cells.extend(values.iter().map(|values| ranged(values, number)));
        table.row(cells);
    }
    Ok(())
}

/// Always ten calls at once, spread over more and more connections in turn.
fn by_connections() -> Vec<Case> {
    const FIGURES: &[Figure] = &[figures::MEMORY, figures::PROCESSOR_PER_CALL, figures::CALLS];
    let most = connections().min(9000);
    let point = |count: usize| {
        let load = Load::Calls { connections: count, at_once: 10, pipeline: 1 };
        Case::new(&format!("{count} connections"), Talk::echo(64), load, FIGURES)
    };
    [10, 100, 1000, 9000].map(|count| count.min(most)).map(point).into()
}

/// Longer and longer pipelines on eight connections.
fn by_pipeline() -> Vec<Case> {
    const FIGURES: &[Figure] = &[figures::PROCESSOR_PER_CALL, figures::CALLS];
    let point = |calls| Case::new(&format!("pipelines of {calls}"), Talk::redis(3), Load::pipelines(8, calls), FIGURES);
    [1, 10, 100, 1000].map(|calls| point(calls).with(REDIS)).into()
}

/// Larger and larger values, one at a time on each of eight connections.
fn by_size() -> Vec<Case> {
    const FIGURES: &[Figure] = &[figures::PROCESSOR_PER_BYTE, figures::PROCESSOR_PER_MESSAGE, figures::GB];
    let sizes = [
        ("64 B", 64),
        ("1 KiB", 1 << 10),
        ("16 KiB", 16 << 10),
        ("256 KiB", 256 << 10),
        ("4 MiB", 4 << 20),
        ("64 MiB", 64 << 20),
        ("1 GiB", 1 << 30),
    ];
    sizes.map(|(name, size)| Case::new(name, Talk::redis(size), Load::calls(8), FIGURES).with(REDIS)).into()
}

/// Rules of which none matches. The point without rules is the first.
const RULES: [usize; 4] = [0, 1, 10, 100];

/// More and more rules over pipelines of GET: half of the rules are for other commands, half for other keys.
fn by_redis_rules() -> Vec<Case> {
    const FIGURES: &[Figure] = &[figures::PROCESSOR_PER_CALL, figures::CALLS];
    let rule = |at: usize| match at % 4 {
        0 => format!("GET user:{at}:* => error"),
        1 => format!("SET|DEL cart:{at}:* => error"),
        2 => format!("* *:lock:{at} => error"),
        _ => format!("HGET* session:{at}:? => error"),
    };
    let point = |count| {
        let case = Case::new(&format!("{count} rules"), Talk::redis(3), Load::pipelines(50, 64), FIGURES);
        case.with(REDIS).with_rules((0..count).map(rule))
    };
    RULES.map(point).into()
}

/// The same for `GET /index.html`, with conditions on paths, methods and a header.
fn by_http_rules() -> Vec<Case> {
    const FIGURES: &[Figure] = &[figures::PROCESSOR_PER_CALL, figures::CALLS];
    let rule = |at: usize| match at % 4 {
        0 => format!("GET /api/{at}/* => error"),
        1 => format!("POST|PUT /cart/{at}/* => error"),
        2 => format!("* */lock/{at} => error"),
        _ => format!("GET header.x-tenant={at}:* => error"),
    };
    let point = |count| {
        let case = Case::new(&format!("{count} rules"), Talk::http(), Load::calls(64), FIGURES);
        case.with(HTTP).with_rules((0..count).map(rule))
    };
    RULES.map(point).into()
}
