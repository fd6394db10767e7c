QUEUE = "billing-queue"
