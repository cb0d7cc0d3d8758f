-- Times are microseconds since 1970-01-01 UTC, durations microseconds, ids the 16 bytes of a UUID.
-- States: 1 scheduled, 2 blocked, 3 pending, 4 running, 5 completed, 6 failed, 7 cancelled.

CREATE TABLE tidemill_queue (
    code     INTEGER PRIMARY KEY,
    name     TEXT    NOT NULL UNIQUE,
    weight   INTEGER NOT NULL DEFAULT 1,
    lease    INTEGER,
    concurrency        INTEGER,
    worker_concurrency INTEGER,
    capacity           INTEGER,
    rate_count         INTEGER,
    rate_per           INTEGER,
    rate_burst         INTEGER,
    paused   INTEGER NOT NULL DEFAULT 0,
    passed   INTEGER NOT NULL DEFAULT 0,  -- its pass in the rotation
    served   INTEGER NOT NULL DEFAULT 0,  -- the rotation's virtual time when it was last served
    owed     INTEGER NOT NULL DEFAULT 0,  -- the bucket of its rate
    owed_at  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE tidemill_type (
    code INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
) STRICT;

CREATE TABLE tidemill_worker (
    code INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
) STRICT;

CREATE TABLE tidemill_task (
    seq           INTEGER PRIMARY KEY,    -- rises with enqueued_at; below zero: restored
    id            BLOB    NOT NULL,
    queue         INTEGER NOT NULL,
    type          INTEGER NOT NULL,
    state         INTEGER NOT NULL,
    priority      INTEGER NOT NULL,
    due           INTEGER NOT NULL,
    enqueued_at   INTEGER NOT NULL,
    attempt_limit INTEGER NOT NULL,
    max_attempts  INTEGER NOT NULL,
    attempt       INTEGER NOT NULL DEFAULT 0,
    token         INTEGER NOT NULL DEFAULT 0,
    alone         INTEGER NOT NULL DEFAULT 0,
    crashes       INTEGER NOT NULL DEFAULT 0,
    cancelling    INTEGER NOT NULL DEFAULT 0,  -- a cancel is requested
    awaited       INTEGER NOT NULL DEFAULT 0,  -- others may wait for it
    claim         BLOB,                        -- the claim that took it last
    worker        INTEGER,
    lease_end     INTEGER,
    started_at    INTEGER,
    finished_at   INTEGER,
    prune_at      INTEGER,
    expires_at    INTEGER,
    blocked_on    TEXT,
    unique_key    TEXT,
    limit_key     TEXT,
    at_most       INTEGER,
    user_id       TEXT,
    project_id    TEXT,
    parent_id     TEXT,
    fingerprint   TEXT,
    reason        TEXT,
    error         BLOB,                        -- a TaskError
    extra         BLOB,                        -- what only its readers need; NULL when all default
    payload       BLOB,                        -- NULL when it lies in tidemill_body
    result        BLOB
) STRICT;

-- A payload so large that carrying it through every change of state would cost.
CREATE TABLE tidemill_body (
    task    INTEGER PRIMARY KEY,
    payload BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX tidemill_task_id ON tidemill_task (id);
CREATE INDEX tidemill_task_type ON tidemill_task (type, id);
CREATE INDEX tidemill_task_state ON tidemill_task (state, id)
    WHERE state = 1 OR state = 2 OR state = 5 OR state = 6 OR state = 7;
CREATE INDEX tidemill_task_pending
    ON tidemill_task (queue, alone, type, priority DESC, due, id, expires_at) WHERE state = 3;
CREATE INDEX tidemill_task_running ON tidemill_task (lease_end, id) WHERE state = 4;
CREATE INDEX tidemill_task_due ON tidemill_task (due, id) WHERE state = 1;
CREATE INDEX tidemill_task_expires ON tidemill_task (expires_at, id)
    WHERE expires_at IS NOT NULL AND state < 4;
CREATE INDEX tidemill_task_prune ON tidemill_task (prune_at, id) WHERE prune_at IS NOT NULL;
CREATE INDEX tidemill_task_restored ON tidemill_task (enqueued_at) WHERE seq < 0;
CREATE INDEX tidemill_task_limit
    ON tidemill_task (queue, limit_key, state, blocked_on, priority DESC, due, id)
    WHERE limit_key IS NOT NULL;
CREATE INDEX tidemill_task_user ON tidemill_task (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX tidemill_task_project ON tidemill_task (project_id, id) WHERE project_id IS NOT NULL;
CREATE INDEX tidemill_task_parent ON tidemill_task (parent_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX tidemill_task_fingerprint ON tidemill_task (fingerprint, id)
    WHERE fingerprint IS NOT NULL;

CREATE TABLE tidemill_tag (
    tag TEXT NOT NULL,
    id  BLOB NOT NULL,
    PRIMARY KEY (tag, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE tidemill_progress (
    task INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE tidemill_log (
    line INTEGER PRIMARY KEY,
    task INTEGER NOT NULL,
    body BLOB    NOT NULL
) STRICT;
CREATE INDEX tidemill_log_task ON tidemill_log (task);

-- Ended attempts that were followed by another.
CREATE TABLE tidemill_attempt (
    line INTEGER PRIMARY KEY,
    task INTEGER NOT NULL,
    body BLOB    NOT NULL
) STRICT;
CREATE INDEX tidemill_attempt_task ON tidemill_attempt (task);

CREATE TABLE tidemill_unique (
    queue INTEGER NOT NULL,
    key   TEXT    NOT NULL,
    id    BLOB    NOT NULL,
    until INTEGER,                        -- NULL: until its start or its end, as the task says
    PRIMARY KEY (queue, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX tidemill_unique_until ON tidemill_unique (until) WHERE until IS NOT NULL;

-- The live tasks, children or upstream, that a blocked one waits for.
CREATE TABLE tidemill_await (
    awaited BLOB NOT NULL,
    waiting BLOB NOT NULL,
    PRIMARY KEY (awaited, waiting)
) STRICT, WITHOUT ROWID;
CREATE INDEX tidemill_await_waiting ON tidemill_await (waiting);

-- What becomes of a blocked task when the last one that it waits for has ended.
CREATE TABLE tidemill_wait (
    task       BLOB    PRIMARY KEY,
    awaiting   INTEGER NOT NULL,          -- its rows in tidemill_await
    broken_by  BLOB,                      -- the upstream task that broke it
    broken_as  INTEGER,                   -- and the state that it ended in
    on_failure TEXT,                      -- NULL: it waits for children
    joins      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a task comes after; a row of its own, for there may be thousands.
CREATE TABLE tidemill_after (
    task INTEGER PRIMARY KEY,
    body BLOB    NOT NULL
) STRICT;

-- Claim ids of the last hour and more, so that a repeated claim takes no more.
CREATE TABLE tidemill_claim (
    line  INTEGER PRIMARY KEY,
    claim BLOB    NOT NULL UNIQUE,
    at    INTEGER NOT NULL
) STRICT;

CREATE TABLE tidemill_count (
    queue INTEGER NOT NULL,
    type  INTEGER NOT NULL,
    state INTEGER NOT NULL,
    alone INTEGER NOT NULL,               -- 1: pending tasks that must run by themselves
    n     INTEGER NOT NULL,
    PRIMARY KEY (queue, type, state, alone)
) STRICT, WITHOUT ROWID;

CREATE TABLE tidemill_mark (
    code     INTEGER PRIMARY KEY,
    schedule TEXT    NOT NULL UNIQUE,
    at       INTEGER,                     -- NULL: only run by hand so far
    count    INTEGER NOT NULL,            -- what was fired
    noted    INTEGER NOT NULL             -- fires ever noted, of which the last are kept
) STRICT;

-- The last fires of each schedule; the n-th one noted lies at n modulo the number that is kept.
CREATE TABLE tidemill_fire (
    mark        INTEGER NOT NULL,
    place       INTEGER NOT NULL,
    n           INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    task        BLOB,
    missed      INTEGER NOT NULL,
    by_hand     INTEGER NOT NULL,
    PRIMARY KEY (mark, place)
) STRICT, WITHOUT ROWID;

-- What ended in one stretch of time. By name, so that its key is the order in which it is read.
CREATE TABLE tidemill_tally (
    resolution TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    queue      TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    body       BLOB    NOT NULL,          -- a Tally; what is zero in it may be left out
    PRIMARY KEY (resolution, at, queue, type)
) STRICT, WITHOUT ROWID;

-- What ended in a stretch that is over, of all queues and task types together.
CREATE TABLE tidemill_total (
    resolution TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    body       BLOB    NOT NULL,          -- a Tally
    PRIMARY KEY (resolution, at)
) STRICT, WITHOUT ROWID;

CREATE TABLE tidemill_document (
    kind    TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    version INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    body    BLOB    NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

-- One row for each transaction that changed a task; `first` numbers its first transition.
CREATE TABLE tidemill_feed (
    first   INTEGER PRIMARY KEY,
    n       INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    entries BLOB    NOT NULL
) STRICT;
