"""What is taken out of the texts of kept documents."""
