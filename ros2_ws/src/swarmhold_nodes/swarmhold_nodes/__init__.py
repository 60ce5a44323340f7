"""rclpy nodes: thin shells over swarmhold.hardware."""
