"""Evidence on learning: tables that anybody can run again, from nothing, with seeds."""
