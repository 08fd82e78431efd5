/// <reference lib="esnext.disposable" />

/** How the calls are found in the traffic. */
export type Protocol = 'tcp' | 'redis' | 'memcache' | 'http' | 'grpc';

/** What a proxy is started with. Texts are those of the command line, where `vaurien --help` explains them. */
export interface Settings {
  /** Where the backend listens: `localhost:6379`. It need not run yet. */
  backend: string;
  /** Default: `tcp`. */
  protocol?: Protocol;
  /** A handler, or a mix of them with percentages, for calls that no rule matches: `20:delay(sleep=250ms),5:error`. Default: `dummy`. */
  handler?: string;
  /** Which calls get other handlers; the first that matches decides: `GET /pay* times=3 => error(status=503)`. */
  rules?: string | readonly string[];
  /** What happens to the bytes of connections: `latency(latency=100ms, jitter=20ms)`. */
  toxics?: string | readonly string[];
  /** A network whose toxics come before the others: `edge`, `3g`, `lte`, `dsl`, `wifi`, `satellite`. */
  profile?: string;
  /**
   * The same seed and the same calls have the same faults. Default: `VAURIEN_SEED`, else a random one. All proxies of a process have
   * the same default, see {@link Proxy.seed}. It comes before that of a configuration file.
   */
  seed?: number;
  /** Whether `stop` accepts that `handler` and `rules` had no calls to act on. Default: false. */
  allowNoCalls?: boolean;
  /** More options of the command line: `['--keep-alive', '--connect-timeout=1s']`. */
  args?: string | readonly string[];
  /** Whether the program's log goes to standard error. If not, {@link Proxy.log} has it. Default: false. */
  log?: boolean;
}

/** What is added for some time: in seconds, or with a unit, `250ms`. Without it, until it is removed. */
export interface Temporary {
  for?: number | string;
}

export interface RuleOptions extends Temporary {
  /** What counters and events call it. Default: `rule-N`; for a block of a proxy that `start` has started, `block-N`. */
  name?: string;
  /** The rule that this one is placed before, or `first`. Default: it is the last one. */
  before?: string;
}

/** A rule in parts, in place of its text. */
export interface RuleTable {
  /** Conditions: `{ command: 'SET|DEL', key: 'user:*' }`. */
  match?: Record<string, unknown>;
  /** The mix of the calls that it matches. */
  handler?: string;
  /** How many calls get a handler other than `dummy`. */
  times?: number | null;
  after?: number | null;
  every?: number | null;
  during?: string | null;
  per?: 'proxy' | 'connection' | null;
}

export interface Rule {
  name: string;
  /** Its text. */
  rule: string;
  status: {
    /** Calls that it has decided for. */
    calls: number;
    faults: number;
    /** Calls that met its conditions, and that `times`, `after`, `every` or `during` left to the next rule. */
    excluded: number;
    /** How many more calls `times` has room for. */
    times_left: number | null;
    /** Seconds until it is taken back. */
    reverts_in: number | null;
  };
}

export interface ToxicOptions extends Temporary {
  /** Default: its type and its direction, `latency_downstream`. */
  name?: string;
  /** The part of the connections that have it, 0 to 1. Default: 1. */
  toxicity?: number;
}

/** A toxic in parts, in place of its text. */
export interface ToxicTable {
  type: string;
  /** What the client sends, or what the backend sends. Default: `downstream`. */
  stream?: 'upstream' | 'downstream';
  /** Times and rates have units: `{ latency: '100ms' }`. */
  attributes?: Record<string, unknown>;
}

export interface Toxic {
  name: string;
  /** Its text. */
  toxic: string;
  type: string;
  stream: 'upstream' | 'downstream';
  toxicity: number;
  attributes: Record<string, unknown>;
  status: {
    /** Connections that have had it. */
    connections: number;
    /** Connections to whose bytes it did something. */
    faults: number;
    /** Seconds until it is taken back. */
    reverts_in: number | null;
  };
}

/** The rules or the toxics of a proxy. All calls fail with a {@link VaurienError} if vaurien refuses them. */
export interface List<Item, Table, Options, Change> {
  /** All, in their order. */
  list(): Promise<Item[]>;
  get(name: string): Promise<Item>;
  /** Adds one as the last; it holds from the next call on. */
  add(text: string | Table, options?: Options): Promise<Item>;
  /** Changes these keys and keeps the others. `null` sets one to its default. */
  change(name: string, keys: Change): Promise<Item>;
  remove(name: string): Promise<void>;
}

/** Calls of one shape: `GET user:*`. */
export interface Shape {
  shape: string;
  calls: number;
  /** How long the backend took: half of the calls at most this. Null if none was timed. */
  p50_seconds: number | null;
  p99_seconds: number | null;
  /** A rule that matches them. */
  rule: string;
}

export interface Calls {
  /** The 200 most frequent shapes. */
  calls: Shape[];
  /** Calls of further shapes. */
  other: number;
  /** Why there are none. */
  note: string | null;
}

export interface Connection {
  id: number;
  /** The client's address. */
  peer: string;
  /** In seconds. */
  age: number;
  worker: number;
  bytes: { to_backend: number; to_client: number };
  calls: number;
  /** The handler of the current call. */
  handler: string | null;
  state: string;
}

/** A fault, a change of the plan, a backend that could not be reached, a client without TLS, a connection that turned opaque. */
export interface Event {
  /** A later event has a higher one. */
  id: number;
  /** RFC 3339, in UTC. */
  time: string;
  event: 'fault' | 'plan' | 'dial_failure' | 'handshake_failure' | 'opaque' | (string & {});
  proxy?: string;
  connection?: number;
  /** The number of the call on its connection. */
  call?: number;
  rule?: string;
  handler?: string;
  /** What was done: `sleep`, `answer`, `close`, `handshake`, … */
  verdict?: string;
  /** Command and key, or method and path. */
  head?: Record<string, string>;
  toxic?: string;
  /** The label that was in force when the call began. */
  label?: string;
  [key: string]: unknown;
}

/** How many faults there have to be. Without any of these, at least one. */
export interface Bounds {
  atLeast?: number;
  atMost?: number;
  exactly?: number;
}

/**
 * A chaos proxy between a client and a backend.
 *
 * Calls of its methods fail with a {@link VaurienError} in the words of vaurien.
 */
export class Proxy implements AsyncDisposable {
  private constructor();

  /**
   * Starts vaurien's program with one proxy on a free port of the loopback interface.
   *
   * The program ends with `stop`, and with this process, in whatever way that ends. It does not keep this process running.
   * Of its variables (`VAURIEN_…`) the environment passes on the seed alone.
   *
   * Fails with a {@link VaurienError} if a setting is wrong or unknown, or if there is no program, see {@link programPath}.
   */
  static start(settings: Settings): Promise<Proxy>;

  /** `default`, or what `connect` was given. */
  readonly name: string;
  /** Where it listens: `127.0.0.1:40123`. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  /** Where the HTTP API of vaurien listens: `http://127.0.0.1:40124`. */
  readonly url: string;
  /** The seed of this run. With `connect`, the one that is known there. */
  readonly seed: number | undefined;
  /** The process of the program, if `start` has started it. */
  readonly pid: number | undefined;
  /** The last 64 KiB of the program's log, unless the setting `log` sends it elsewhere. */
  readonly log: string;

  readonly rules: List<Rule, RuleTable, RuleOptions, RuleTable & RuleOptions>;
  readonly toxics: List<
    Toxic,
    ToxicTable,
    ToxicOptions,
    Pick<ToxicTable, 'attributes'> & Temporary & { toxicity?: number | null }
  >;

  /**
   * Ends the program that `start` has started; connections that wait in a handler end at once, other calls have 5 seconds.
   *
   * Fails with a {@link VaurienError} if the `handler` or `rules` of the start had no call at all to act on, as the exit code 3
   * of the command line (see {@link Settings.allowNoCalls}), or if the program had ended before. Warnings of the program, for
   * example of a rule that matched nothing, are emitted as warnings of the process. Later calls fail: ask for counts before.
   */
  stop(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;

  /**
   * Gives calls this handler or mix while `body` runs; then, also if it fails, that of before. Open connections have it from
   * their next call on; calls that the handler of before holds go on, or are reset if they hang. Blocks may overlap: of those that
   * run, the one that began last decides.
   */
  fault<T>(mix: string, body: () => T | Promise<T>): Promise<T>;
  /** Refuses connections while `body` runs, and closes the open ones at its beginning. */
  down<T>(body: () => T | Promise<T>): Promise<T>;
  /** Has this rule while `body` runs. */
  rule<T>(rule: string | RuleTable, body: (rule: Rule) => T | Promise<T>): Promise<T>;
  rule<T>(rule: string | RuleTable, options: RuleOptions, body: (rule: Rule) => T | Promise<T>): Promise<T>;
  /** Has this toxic while `body` runs, on open connections as well. */
  toxic<T>(toxic: string | ToxicTable, body: (toxic: Toxic) => T | Promise<T>): Promise<T>;
  toxic<T>(toxic: string | ToxicTable, options: ToxicOptions, body: (toxic: Toxic) => T | Promise<T>): Promise<T>;
  /** Sets it back to what it was started with: mix, rules and toxics. Counters go on. */
  reset(): Promise<void>;

  /** What clients have called, by shape: what there is to write rules for. */
  calls(): Promise<Calls>;
  connections(): Promise<Connection[]>;
  /** The events since the one with this `id`, at most the latest 16,384. Default: 0, all. */
  events(options?: { since?: number }): Promise<Event[]>;
  /** All keys of the proxy, and under `status` its state and counters. */
  settings(): Promise<Record<string, any>>;

  /**
   * How many faults there were since {@link label} was set, or since the start where there is no label: of a handler (`error`), of
   * a handler of one rule (`pay.error`), of a rule (`pay.faults`), of a toxic (`latency_downstream`), or of all (`faults`, the
   * default). Fails if nothing has had this name since the start.
   */
  faults(name?: string): Promise<number>;
  /** Fails with an `AssertionError` unless there were so many faults, as {@link faults} counts them. Returns how many. */
  assertFaults(name: string, bounds?: Bounds): Promise<number>;

  /**
   * Gives all calls of the vaurien that begin from now on a label, such as the name of the test that runs: events and reports
   * have it, and {@link faults}, {@link assertFaults} and {@link explain} begin here. Cut after 255 bytes; null ends it.
   */
  label(text: string | null): Promise<void>;
  /** Runs `body` under this label. If it fails, prints what {@link explain} says on standard error, and fails in the same way. */
  labelled<T>(text: string, body: () => T | Promise<T>): Promise<T>;
  /**
   * What to print of a failed test: its label, the proxy, the seed, the first 20 events since the label was set, and how to repeat
   * them. Events are faults, backends that could not be reached, clients with which there is no TLS, and connections that turned
   * opaque, where handlers no longer act.
   */
  explain(): Promise<string>;

  /** Makes any other call of the HTTP API: `request('GET', '/v1/version')`. Returns JSON, or the text of anything else. */
  request(method: string, path: string, body?: unknown): Promise<any>;
}

/**
 * Returns a proxy of a vaurien that runs already with `--http`. Its `stop` does nothing.
 *
 * @param url `http://localhost:8080`, also without `http://`. Default: `VAURIEN_HTTP`, which `vaurien --http … -- COMMAND`
 *   sets for its command.
 */
export function connect(
  url?: string,
  options?: {
    /** Its name. Default: `default`. */
    proxy?: string;
    /** The token of the API, if it needs one. Default: `VAURIEN_HTTP_TOKEN`. */
    token?: string;
    /** The seed that {@link Proxy.explain} tells. Default: with `VAURIEN_HTTP`, that of `VAURIEN_SEED`. */
    seed?: number;
  },
): Promise<Proxy>;

/**
 * Returns the path of the program: `VAURIEN`, else that of the package for this platform, such as
 * `@vaurien/linux-x64`. Fails with a {@link VaurienError} that names the package if it is missing.
 */
export function programPath(): string;

/** What vaurien refused or could not do, in its own words. */
export class VaurienError extends Error {
  readonly name: 'VaurienError';
  /** The status of the HTTP API's response, if it is one. */
  readonly status: number | undefined;
  /** What the response said, one by one. */
  readonly errors: readonly { location?: string; name?: string; description: string }[];
}
