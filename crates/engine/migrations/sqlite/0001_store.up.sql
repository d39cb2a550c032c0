-- Everything a store keeps. Instants and durations are milliseconds; tables refer to streams by number, so that a typed id
-- stands once. Indexes are partial wherever most rows have nothing to find: what is not in an index costs it nothing.

-- A stream: what it is called, and what lists and loops look for. Its version is that of its last event.
create table streams (
    no          integer primary key,
    kind        text not null,
    id          blob not null,
    namespace   text not null,
    status      text check (
        case status
            when 'PENDING' then true when 'SCHEDULED' then true when 'IN_PROGRESS' then true when 'COMPLETED' then true
            when 'DELIBERATING' then true when 'ASSIGNED' then true when 'REVIEW' then true when 'BLOCKED' then true
            when 'PAUSED' then true when 'RETRYING' then true when 'ESCALATED' then true when 'STALLED' then true
            when 'FAILED' then true when 'CANCELLED' then true when 'STOPPED' then true
            else status is null
        end
    ),
    priority    integer not null,
    rank        integer not null,
    wake_at     integer,
    open        text,
    created_at  integer not null,
    ended_at    integer,
    due_at      integer,
    title       text not null,
    task_type   text not null,
    external_id text,
    source      text,
    owner_id    text,
    parent      blob,
    unique (id, kind)
) strict;

create index streams_status on streams (status) where status is not null;
create index streams_kind on streams (kind) where kind <> 'task';
create index streams_wake on streams (wake_at) where wake_at is not null;
create index streams_open on streams (priority desc, rank) where open is not null;
create index streams_type on streams (task_type) where kind = 'task';
create index streams_external_id on streams (external_id) where external_id is not null;
create index streams_owner on streams (owner_id) where owner_id is not null;
create index streams_parent on streams (parent) where parent is not null;

create trigger streams_end_once before update of status on streams
when old.status in ('COMPLETED', 'FAILED', 'CANCELLED', 'STOPPED') and new.status is not old.status
begin
    select raise(abort, 'the status of a task that has ended does not change');
end;

-- The facts. `data` is JSON as text, or the same compressed as a blob. `private` is a salt of 16 bytes and what erasing deletes;
-- where that is large, it is the blob named by `private_key` instead.
create table events (
    position      integer primary key,
    stream        integer not null references streams (no),
    version       integer not null,
    at            integer not null,
    kind          text not null,
    actor         text not null,
    status_before text,
    status_after  text,
    schema        integer not null,
    hash          blob not null,
    digest        blob,
    private_key   text,
    data          any not null,
    private       blob,
    unique (stream, version)
) strict;

create trigger events_never_change
before update of position, stream, version, at, kind, actor, status_before, status_after, schema, hash, digest, data on events
begin
    select raise(abort, 'an event is a fact and does not change');
end;

create table commits (
    first integer primary key,
    last  integer not null,
    at    integer not null,
    root  blob not null,
    hash  blob not null
) strict;

-- Letters on their way, in the order they were sent. A source is named by its id, since nothing is looked up by it.
create table mail (
    no             integer primary key,
    target         integer not null references streams (no),
    id             blob not null,
    source         text not null,
    source_version integer not null,
    body           text not null,
    unique (id, target)
) strict;

create index mail_target on mail (target);

-- Keys that one stream at a time may hold. The holder is named by its id, since it need not have been born.
create table uniques (
    key    text primary key,
    until  integer,
    value  text not null,
    stream text not null
) strict, without rowid;

create index uniques_until on uniques (until) where until is not null;

-- A counter that stands at 0 has no row.
create table counters (
    key   text primary key,
    value integer not null check (value > 0)
) strict, without rowid;

create table snapshots (
    stream  integer primary key references streams (no),
    version integer not null,
    body    blob not null
) strict;

create table blobs (
    key    text primary key,
    stream integer not null references streams (no),
    body   blob not null
) strict;

create index blobs_stream on blobs (stream);

create table telemetry (
    stream   integer not null references streams (no),
    work     text not null,
    attempt  integer not null,
    counter  integer not null,
    progress real,
    message  text,
    at       integer not null,
    primary key (stream, work)
) strict, without rowid;

create table meta (
    key   text primary key,
    value integer not null
) strict, without rowid;
