# Get all PENDING tasks
curl "http://localhost:4000/api/v1/tasks?status=PENDING"

# Get tasks for specific owner
curl "http://localhost:4000/api/v1/tasks?ownerId=ACTION_AI"

# Get tasks due before specific date
curl "http://localhost:4000/api/v1/tasks?before=2026-01-10T00:00:00Z"

# Combine filters
curl "http://localhost:4000/api/v1/tasks?status=SCHEDULED&type=INVOICE_FOLLOW_UP"
