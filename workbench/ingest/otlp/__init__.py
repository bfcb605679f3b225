"""OTLP metrics: protobuf or JSON to points, and the answers that the protocol defines."""
