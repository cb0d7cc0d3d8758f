"""What mails and other texts say, told by a model or, offline, by the text itself.

values              what is asked and answered, as frozen values
provider            the seam: `TextAI`
offline             its implementation without any model that writes; made of the small modules
                    language, sentences, courtesy, extractive, keywords, sentiment, category,
                    urgency, actions
openai_compatible   its implementation over any server that speaks OpenAI's HTTP API
routing             which of them answers, by configuration and when a provider is down
"""
