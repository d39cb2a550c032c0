curl -X POST http://localhost:4000/api/v1/tasks \
  -H "Content-Type: application/json" \
  -d '{
    "type": "INVOICE_FOLLOW_UP",
    "mode": "ASSISTED",
    "priority": "HIGH",
    "ownerType": "AI",
    "ownerId": "ACTION_AI",
    "subjectRefType": "INVOICE",
    "subjectRefId": "INV-123",
    "dueAt": "2026-01-05T12:00:00Z",
    "source": "OVERDUE_INVOICE_DETECTOR",
    "payload": {
      "customer_name": "ACME Corp",
      "customer_email": "billing@acme.com",
      "invoice_number": "INV-123",
      "invoice_amount": 1200,
      "currency": "USD",
      "due_date": "2025-12-20",
      "days_overdue": 10
    }
  }'
