drop index streams_open;
create index streams_open on streams (priority desc, rank) where open is not null;

update streams set rank = rank + priority * 3600000 where kind = 'task' and priority <> 0;
