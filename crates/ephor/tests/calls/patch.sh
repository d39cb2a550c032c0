# Schedule task (PENDING → SCHEDULED)
curl -X PATCH http://localhost:4000/api/v1/tasks/{task-id} \
  -H "Content-Type: application/json" \
  -d '{
    "newStatus": "SCHEDULED",
    "scheduledAt": "2026-01-01T12:00:00Z",
    "actorType": "SYSTEM",
    "actorId": "FOLLOW_UP_SCHEDULER"
  }'

# Mark failed with error
curl -X PATCH http://localhost:4000/api/v1/tasks/{task-id} \
  -H "Content-Type: application/json" \
  -d '{
    "newStatus": "FAILED",
    "actorType": "AI",
    "actorId": "ACTION_AI_FOLLOW_UP_WORKER",
    "error": "SMTP server unreachable"
  }'
