drop trigger streams_end_once;

create trigger streams_end_once before update of status on streams
when old.status in ('COMPLETED', 'FAILED', 'CANCELLED', 'STOPPED') and new.status is not old.status
begin
    select raise(abort, 'the status of a task that has ended does not change');
end;
