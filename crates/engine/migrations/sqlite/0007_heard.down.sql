alter table telemetry drop column heard;
