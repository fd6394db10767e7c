QUEUE = "shipping-queue"
