//! Rules choose the same calls again, whatever the cuts, the pipelines and the other connections.

use std::sync::Arc;

use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::io::AsyncReadExt;

use super::world::*;
use super::*;
use crate::call::{Answer, Call, Verdict};
use crate::error::Result;
use crate::handler::Handler;
use crate::net::memory_stream::{MemoryStream, pair};
use crate::net::stream::Stream;
use crate::plan::mix::Mix;
use crate::plan::rule::Rule;
use crate::plan::rule::list::name_all;
use crate::plan::{Parts, Plan, Renewal};
use crate::protocol::Protocol;

/// Answers with its name and a number that is drawn.
struct Sign(&'static str);

impl Handler for Sign {
    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        let number: u16 = call.random().random();
        Ok(Verdict::Answer(Answer::new(format!("+{} {number}\r\n", self.0))))
    }
}

/// What rules of a test ask of a call.
const CONDITIONS: [&str; 10] = [
    "GET",
    "get k1|k2",
    "SET|DEL k?",
    "* ~[3-5]$",
    "connection=1",
    "connection=2 SET",
    "* every=3 per=connection",
    "GET after=2 times=3 per=connection",
    "SET k* times=1 per=connection",
    "client=10.0.0.0/8",
];

fn any_mix(random: &mut ChaCha8Rng) -> Mix {
    let [one, other] = [(); 2].map(|()| *[0.0, 30.0, 50.0].choose(random).unwrap());
    Mix::default().with(one, "a", Sign("a")).unwrap().with(other, "b", Sign("b")).unwrap()
}

fn any_rules(random: &mut ChaCha8Rng) -> Vec<Rule> {
    let many = random.random_range(0..4);
    let conditions = (0..many).map(|_| *CONDITIONS.choose(random).unwrap()).collect::<Vec<_>>();
    // Words stand before conditions.
    let ordered = |text: &str| {
        let (conditions, words): (Vec<&str>, Vec<&str>) = text.split(' ').partition(|word| word.contains('='));
        [words, conditions].concat().join(" ")
    };
    let mut rules: Vec<Rule> =
        conditions.iter().map(|conditions| Rule::of(&ordered(conditions), any_mix(random)).unwrap()).collect();
    name_all(&mut rules);
    rules
}

/// Each of the same length.
fn any_calls(random: &mut ChaCha8Rng) -> Vec<String> {
    let many = random.random_range(1..20);
    let call = |_| {
        let command = ["GET", "SET", "DEL", "get"].choose(random).unwrap();
        format!("*2\r\n$3\r\n{command}\r\n$2\r\nk{}\r\n", random.random_range(0..10))
    };
    (0..many).map(call).collect()
}

/// A backend that answers each call with the number of those before it.
async fn backend(stream: MemoryStream, len: usize) {
    let (mut got, mut answered, mut buffer) = (0, 0, [0; 64]);
    loop {
        match (&stream).read(&mut buffer).await {
            Ok(0) | Err(_) => return stream.end(),
            Ok(more) => got += more,
        }
        while answered < got / len {
            write(&stream, "+ok\r\n").await;
            answered += 1;
        }
    }
}

/// One connection from its first call to its last: what its client gets. Without `cuts` it makes one call after the other.
async fn connection(
    proxy: &Arc<ProxyContext>,
    number: u64,
    calls: &[String],
    cuts: Option<&mut ChaCha8Rng>,
) -> Vec<String> {
    let capacity = if cuts.is_some() { 7 } else { 64 };
    let options = Options { connection: number, ..Options::new(Protocol::Redis, capacity) };
    let ((client, near_client), (near_backend, far_backend)) = (pair(capacity), pair(capacity));
    let pumps = options.pump(proxy, Stream::from(near_client), Stream::from(near_backend));
    let served = tokio::spawn(backend(far_backend, calls[0].len()));
    let mut replies = String::new();
    if let Some(random) = cuts {
        let send = async {
            let all = calls.concat();
            let mut rest = all.as_str();
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(random.random_range(1..=rest.len().min(30)));
                write(&client, piece).await;
                if random.random_bool(0.3) {
                    tokio::task::yield_now().await;
                }
                rest = more;
            }
            client.end();
        };
        let (rest, ()) = tokio::join!(rest(&client), send);
        replies = rest;
    } else {
        for call in calls {
            write(&client, call).await;
            let mut byte = [0];
            while byte[0] != b'\n' {
                (&client).read_exact(&mut byte).await.unwrap();
                replies.push(char::from(byte[0]));
            }
        }
        client.end();
        replies += &rest(&client).await;
    }
    served.await.unwrap();
    pumps.await.unwrap();
    replies.lines().map(str::to_owned).collect()
}

async fn case(seed: u64) -> usize {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (rules, mix) = (any_rules(&mut random), any_mix(&mut random));
    let new_proxy = || {
        let parts = Parts::new(&mix, &rules, Protocol::Redis, None, Renewal::All);
        proxy_with(|| Plan::of(&parts, None, |_, _| Arc::default()))
    };
    let calls = [any_calls(&mut random), any_calls(&mut random)];
    let mut expected = Vec::new();
    for (number, calls) in (1..).zip(&calls) {
        let (_shutdown, proxy) = new_proxy();
        expected.push(connection(&proxy, number, calls, None).await);
    }
    let (_shutdown, proxy) = new_proxy();
    let [mut first, mut second] = [1, 2].map(|more| ChaCha8Rng::seed_from_u64(seed * 2 + more));
    let (first, second) = tokio::join!(
        connection(&proxy, 1, &calls[0], Some(&mut first)),
        connection(&proxy, 2, &calls[1], Some(&mut second)),
    );
    assert_eq!([first, second].as_slice(), expected, "seed {seed}: {rules:?} {mix}");
    expected.iter().flatten().filter(|reply| *reply != "+ok").count()
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_faults() {
    let mut faults = 0;
    for seed in 0..1000 {
        faults += case(seed).await;
    }
    assert!(faults > 1000, "only {faults} calls were answered");
}
