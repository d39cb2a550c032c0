-- One order of open work: by when a task was due or born, moved ahead by an hour for each level of its priority. So what has waited long
-- comes first in the end, whatever its priority.
update streams set rank = rank - priority * 3600000 where kind = 'task' and priority <> 0;

drop index streams_open;
create index streams_open on streams (rank) where open is not null;
