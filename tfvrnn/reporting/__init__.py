"""Share what every report needs: pages of HTML, charts, and protocols as JSON."""
