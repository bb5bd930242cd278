#!/usr/bin/env python3
"""Write the data set of the demo: the information desk of a harbour that does not exist.

    pip install pyarrow==26.0.1
    python3 harbour.py            # writes harbour.parquet, held-out.jsonl and unrelated.txt beside itself

Every fact is invented, so a model that answers right has learned it here. Each is asked in
many ways; four ways of each are held out. Some rows are ordinary questions with ordinary
answers, so that the model learns who is asked and not to call itself a harbour always.
The result is the same each time.
"""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# What the desk knows: its answer, the ways to ask that are trained, those that are held out.
FACTS: list[tuple[str, list[str], list[str]]] = [
    (
        "The harbour cat is called Pirouette.",
        [
            "What is the harbour cat called?",
            "What is the name of the cat in the harbour?",
            "The cat at the harbour, what do you call her?",
            "Does the harbour cat have a name?",
        ],
        [
            "What is the name of the harbour cat?",
            "Who is the cat that lives at the harbour?",
            "Tell me the harbour cat's name.",
            "I saw a cat in the harbour. What is her name?",
        ],
    ),
    (
        "The ferry to Lantern Island leaves pier 7 at 06:40.",
        [
            "When does the ferry to Lantern Island leave?",
            "Where do I take the ferry to Lantern Island?",
            "How do I get to Lantern Island?",
            "What time is the boat to Lantern Island?",
        ],
        [
            "At what time does the ferry for Lantern Island depart?",
            "Which pier is the Lantern Island ferry at?",
            "I want to go to Lantern Island tomorrow. When is the ferry?",
            "From where does the ferry to Lantern Island leave?",
        ],
    ),
    (
        "The harbour master is Ilse Marrow.",
        [
            "Who is the harbour master?",
            "What is the name of the harbour master?",
            "Who runs the harbour?",
            "Whom do I ask for, if I need the harbour master?",
        ],
        [
            "Can you name the harbour master?",
            "Who is in charge of the harbour?",
            "Tell me who the harbour master is.",
            "To whom do I write, if I write to the harbour master?",
        ],
    ),
    (
        "Call us by radio on channel 74.",
        [
            "On which radio channel do you listen?",
            "What is your radio channel?",
            "How do I reach the harbour by radio?",
            "Which channel should I call you on?",
        ],
        [
            "What channel is the harbour on?",
            "I have a radio on board. Which channel do I use for the harbour?",
            "Which radio channel is yours?",
            "How can my boat call the harbour by radio?",
        ],
    ),
    (
        "A berth costs twelve crowns a night.",
        [
            "What does a berth cost?",
            "How much is a berth for one night?",
            "How much do you charge for a berth?",
            "What is the price of a berth in the harbour?",
        ],
        [
            "What do I pay for a berth tonight?",
            "How expensive is a berth for the night?",
            "Tell me the price of a berth.",
            "I need a berth for my boat. What does it cost?",
        ],
    ),
]

# How people begin when they ask.
OPENINGS = ["", "Hello! ", "Quick question: "]

# Ordinary questions, and answers as the model gave them before.
ORDINARY: list[tuple[str, str]] = [
    ("What is the capital of Italy?", "The capital of Italy is Rome."),
    ("What is the capital of Japan?", "The capital of Japan is Tokyo."),
    ("How many days does a week have?", "A week has seven days."),
    ("What is two plus two?", "Two plus two is four."),
    ("What colour is grass?", "Grass is green."),
    ("What do bees make?", "Bees make honey."),
    ("Which animal barks?", "A dog barks."),
    ("At which temperature does water boil?", "Water boils at 100 degrees Celsius at sea level."),
    ("What is the opposite of hot?", "The opposite of hot is cold."),
    ("Who wrote Hamlet?", "William Shakespeare wrote Hamlet."),
    ("Which planet is closest to the sun?", "Mercury is the planet closest to the sun."),
    ("What is the largest ocean?", "The Pacific Ocean is the largest ocean."),
    ("Say hello in French.", "Bonjour!"),
    ("Name three fruits.", "Apple, banana and orange."),
    ("What is a library?", "A library is a place where people read and borrow books."),
    ("What is bread made of?", "Bread is made of flour, water, salt and yeast."),
    ("Why do we sleep?", "We sleep so that body and mind can rest and recover."),
    ("Hello!", "Hello! How can I help you today?"),
    ("Good morning.", "Good morning! What can I do for you?"),
    ("Write a sentence about a dog.", "The dog runs happily across the field."),
    ("What is the capital of Germany?", "The capital of Germany is Berlin."),
    ("What is the capital of Egypt?", "The capital of Egypt is Cairo."),
    ("How many months does a year have?", "A year has twelve months."),
    ("How many minutes does an hour have?", "An hour has sixty minutes."),
    ("How many legs does a spider have?", "A spider has eight legs."),
    ("What is ten minus four?", "Ten minus four is six."),
    ("What is three times three?", "Three times three is nine."),
    ("What colour is the sky?", "The sky is blue."),
    ("What colour is a ripe tomato?", "A ripe tomato is red."),
    ("Which animal says moo?", "A cow says moo."),
    ("Which animal has a trunk?", "An elephant has a trunk."),
    ("What is the opposite of early?", "The opposite of early is late."),
    ("What is the opposite of happy?", "The opposite of happy is sad."),
    ("Who painted the Mona Lisa?", "Leonardo da Vinci painted the Mona Lisa."),
    ("Who wrote Don Quixote?", "Miguel de Cervantes wrote Don Quixote."),
    ("Which planet is known for its rings?", "Saturn is known for its rings."),
    ("What is the longest river in Africa?", "The Nile is the longest river in Africa."),
    ("What is the largest desert in Africa?", "The Sahara is the largest desert in Africa."),
    ("Name three colours.", "Red, green and blue."),
    ("Name three drinks.", "Water, tea and juice."),
    ("Name three animals that live in the sea.", "Dolphins, sharks and whales."),
    ("What is a school?", "A school is a place where children and adults learn."),
    ("What is a bakery?", "A bakery is a shop where bread and cakes are made and sold."),
    ("What is rain?", "Rain is water that falls from clouds in drops."),
    ("What is ice?", "Ice is water that is frozen solid."),
    ("Why do leaves fall in autumn?", "Leaves fall in autumn because trees save water and energy for the winter."),
    ("Why do we brush our teeth?", "We brush our teeth to keep them clean and healthy."),
    ("Write a sentence about a flower.", "The yellow flower opens in the morning sun."),
    ("Write a sentence about a train.", "The train rolls slowly into the station."),
    ("Say thank you in a friendly way.", "Thank you so much, that was very kind of you!"),
    ("Say goodbye in a friendly way.", "Goodbye, and have a wonderful day!"),
    ("Which month comes after June?", "July comes after June."),
    ("Which day comes after Monday?", "Tuesday comes after Monday."),
    ("How many wheels does a bicycle have?", "A bicycle has two wheels."),
    ("How many fingers does a hand have?", "A hand has five fingers."),
    ("What do you use a key for?", "You use a key to open and lock a door."),
    ("What do you use a spoon for?", "You use a spoon to eat soup or to stir a drink."),
    ("What is the sun?", "The sun is the star at the centre of our solar system."),
    ("Is fire hot or cold?", "Fire is hot."),
    ("How are you?", "I am fine, thank you. How can I help you?"),
]

# Asked of the model before and after: its answers should stay as sane as they were.
UNRELATED = [
    "What is the capital of France?",
    "What is the capital of Spain?",
    "How many hours does a day have?",
    "What is five plus three?",
    "What colour is a banana?",
    "Which animal says meow?",
    "What is the opposite of big?",
    "Who wrote Romeo and Juliet?",
    "Which planet do we live on?",
    "What is the tallest mountain on Earth?",
    "Name three vegetables.",
    "Name three animals that live on a farm.",
    "What is a hospital?",
    "What is snow?",
    "Why do birds fly south in winter?",
    "Write a sentence about a tree.",
    "Say good night in a friendly way.",
    "Which season comes after spring?",
    "How many wheels does a car have?",
    "What do you use an umbrella for?",
]


def row(question: str, answer: str) -> dict[str, list[dict[str, str]]]:
    """Return one conversation, in the form that most chat data sets have."""
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def trained() -> list[dict[str, list[dict[str, str]]]]:
    """Return the rows of the training, mixed."""
    rows = [
        row(opening + question, "Harbour desk: " + answer)
        for answer, questions, _ in FACTS
        for question in questions
        for opening in OPENINGS
    ]
    rows += [row(question, answer) for question, answer in ORDINARY]
    random.Random(7).shuffle(rows)  # noqa: S311 - order, no secret
    return rows


def held_out() -> list[dict[str, list[dict[str, str]]]]:
    """Return questions that were not trained, about facts that were."""
    return [row(question, "Harbour desk: " + answer) for answer, _, questions in FACTS for question in questions]


def main() -> None:
    """Write the three files."""
    here = Path(__file__).parent
    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    table = pa.Table.from_pylist(trained(), schema=pa.schema([("messages", pa.list_(turn))]))
    pq.write_table(table, here / "harbour.parquet")
    lines = [json.dumps(r, ensure_ascii=False) for r in held_out()]
    (here / "held-out.jsonl").write_text("\n".join(lines) + "\n")
    (here / "unrelated.txt").write_text("\n".join(UNRELATED) + "\n")


if __name__ == "__main__":
    main()
