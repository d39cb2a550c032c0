-- How much of what people said about its task the holder of a piece of work has heard: after a restart it is told the rest, and no more.
alter table telemetry add column heard integer not null default 0;
