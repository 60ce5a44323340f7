"""The Robotarium's ground robots: unicycles behind a robust barrier filter, compiled."""
